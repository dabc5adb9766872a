// Statements on tables that are the same on every shard, or on no table: any shard may answer, all shards must write.
// The rule: a write runs only if every shard certainly comes to the same rows.
import type { Node } from 'libpg-query';
import type { Facts } from '../sql/facts.ts';
import type { FunctionClass } from '../sql/function-class.ts';
import { clockWatch, type Decision, spellsClock } from './decision.ts';
import { HINT_BY_HAND, refuse } from './refusal.ts';
import type { StatementScopes } from './scopes.ts';

/** No sharded table: every shard gives the same answer, or one shard is as good as another, or nobody can tell. */
export function placeless(facts: Facts, scopes: StatementScopes): Decision {
  for (const kind of ['sequence', 'effect', 'unknown'] as const) {
    const name = facts.functions.get(kind);
    if (name === undefined) continue;
    const why = {
      sequence: 'works on a sequence, and each shard has its own',
      effect: 'acts on one server',
      unknown: 'is not known here',
    };
    return {
      kind: 'fixed',
      route: refuse(`${name}() ${why[kind]}, and nothing in the statement says which shard`, HINT_BY_HAND),
    };
  }
  // A lock must be taken where everybody else takes it.
  if (facts.hasLocking || facts.functions.has('advisory')) return { kind: 'fixed', route: { kind: 'one', shard: 0 } };
  const onlyReferences = scopes.references.size > 0 && scopes.catalogs.size === 0;
  return { kind: 'fixed', route: onlyReferences ? { kind: 'any' } : { kind: 'any', prefer: 0 } };
}

const SAME_EVERYWHERE: ReadonlySet<FunctionClass> = new Set(['same']);

/** A write to tables that are on every shard: only if all shards certainly come to the same rows. */
export function referenceWrite(node: Node, facts: Facts, scopes: StatementScopes): Decision {
  const [table = ''] = scopes.writtenElsewhere;
  const no = (message: string, hint?: string): Decision => ({ kind: 'fixed', route: refuse(message, hint) });
  if (scopes.catalogs.has(table)) return no(`${table} is a system catalog`, HINT_BY_HAND);
  const select = 'InsertStmt' in node ? node.InsertStmt.selectStmt : undefined;
  const rows = select !== undefined && 'SelectStmt' in select ? select.SelectStmt.valuesLists !== undefined : true;
  if (
    'SelectStmt' in node ||
    scopes.instances.length > 0 ||
    facts.relations.size > 1 ||
    facts.hasSubLink ||
    facts.hasWith ||
    !rows
  ) {
    return no(
      `${table} is on every shard, so it can be written only by a statement that reads no other table`,
      'Read first, then write the values.',
    );
  }
  for (const [kind, name] of facts.functions) {
    if (SAME_EVERYWHERE.has(kind)) continue;
    return no(
      `${table} is on every shard, and ${name} (${kind}) could give each shard another value`,
      'Compute the value first and send it as a literal or parameter.',
    );
  }
  const [unknown] = facts.unknownNodes;
  const doubt = unknown ?? facts.systemColumn ?? facts.serverCast;
  if (doubt !== undefined)
    return no(`${table} is on every shard, and ${doubt} could mean something else on each of them`);
  const clock = clockWatch([table]);
  if (facts.strings.some(({ value }) => spellsClock(value))) {
    // With a shape the strings are holes and are looked at each time; here they are fixed.
    if (scopes.reading.holeAt === undefined) return { kind: 'fixed', route: { kind: 'refused', error: clock.error } };
  }
  return { kind: 'everywhere', clock };
}

/** Conflicts with every other writer of the table, and with nobody who reads. */
export function lockOf(scopes: StatementScopes): string {
  const names = [...scopes.writtenElsewhere].map((id) =>
    id
      .split('.')
      .map((part) => `"${part.replaceAll('"', '""')}"`)
      .join('.'),
  );
  return `LOCK TABLE ${names.join(', ')} IN SHARE ROW EXCLUSIVE MODE`;
}
