// The planner of SELECT, INSERT, UPDATE and DELETE: a parse tree and a topology become a decision. The rule: one shard is
// certain when every sharded table mentioned is bound to it; several are allowed only by `spreadObstacle` finding nothing;
// everything else is refused with its reason.
import type { InsertStmt, Node } from 'libpg-query';
import { type Facts, factsOf } from '../sql/facts.ts';
import type { FunctionClass } from '../sql/function-class.ts';
import { clockWatch, type Decision, nullKey, spellsClock } from './decision.ts';
import type { Distribution } from './from-clause.ts';
import type { KeyReading } from './key-expression.ts';
import type { Merge } from './plan.ts';
import { insertRows } from './plan-insert.ts';
import { lockOf, placeless, referenceWrite } from './plan-reference.ts';
import { bindHint, featureError, HINT_BY_HAND, type Refused, refuse } from './refusal.ts';
import { type Entry, type Instance, type ShardedRule, StatementScopes } from './scopes.ts';
import { spreadObstacle } from './spread.ts';
import { Walker } from './statement-walk.ts';
import type { Topology } from './topology.ts';

export interface PlannedBody {
  readonly decision: Decision;
  readonly merge: Merge;
  readonly writes: boolean;
  readonly locks: boolean;
  readonly setConfig: boolean;
  readonly tables: readonly string[];
  /** See PlannedStatement. */
  readonly lockFirst: string | undefined;
  /** Sharded tables of the statement, for keys given by hand. */
  readonly rules: readonly ShardedRule[];
  /** The only thing that stands against one shard named by hand, if anything does. */
  readonly never: Refused | undefined;
}

export type Body = 'SelectStmt' | 'InsertStmt' | 'UpdateStmt' | 'DeleteStmt';

export function bodyKind(node: Node): Body | undefined {
  if ('SelectStmt' in node) return 'SelectStmt';
  if ('InsertStmt' in node) return 'InsertStmt';
  if ('UpdateStmt' in node) return 'UpdateStmt';
  return 'DeleteStmt' in node ? 'DeleteStmt' : undefined;
}

/** Plans one statement. What was read of its literals is left in `reading`. */
export function planBody(node: Node, topology: Topology, reading: KeyReading): PlannedBody {
  const facts = factsOf(node);
  const scopes = new StatementScopes(topology, facts, reading);
  const walker = new Walker(scopes);
  let distribution: Distribution = { kind: 'unknown', why: 'an INSERT' };
  let merge: Merge = 'concat';
  let target: Entry | undefined;
  if ('SelectStmt' in node) distribution = walker.select(node.SelectStmt, undefined, undefined);
  else if ('UpdateStmt' in node) distribution = walker.update(node.UpdateStmt, undefined, undefined);
  else if ('DeleteStmt' in node) distribution = walker.delete(node.DeleteStmt, undefined, undefined);
  else if ('InsertStmt' in node) target = walker.insert(node.InsertStmt, undefined, undefined);
  scopes.propagate();
  const writes =
    !('SelectStmt' in node) ||
    facts.hasDataModifyingWith ||
    facts.hasInto ||
    ACTS.some((kind) => facts.functions.has(kind));
  const never = neverAnywhere(facts);
  let decision: Decision;
  if (topology.shards.length === 1) decision = { kind: 'fixed', route: never ?? { kind: 'one', shard: 0 } };
  else if (never !== undefined) decision = { kind: 'fixed', route: never };
  else decision = decisionOf(node, facts, scopes, distribution, target);
  // Only now are all key places of the statement known.
  markAmbiguous(reading, facts);
  if (decision.kind === 'everywhere') merge = 'first';
  return {
    decision,
    merge,
    writes,
    locks: facts.hasLocking || facts.functions.has('advisory'),
    setConfig: facts.setConfigCalls.length > 0,
    tables: [
      ...new Set([...scopes.instances.map(({ rule }) => nameOf(rule)), ...scopes.references, ...scopes.unlisted]),
    ],
    lockFirst: decision.kind === 'everywhere' ? lockOf(scopes) : undefined,
    rules: scopes.instances.map(({ rule }) => rule),
    never,
  };
}

const ACTS: readonly FunctionClass[] = ['effect', 'dynamic', 'sequence', 'setConfig', 'unknown'];

export function nameOf(rule: ShardedRule): string {
  return `${rule.schema}.${rule.name}`;
}

/** A parameter that also stands where something else can give it its type is not read on its inferred type. */
function markAmbiguous(reading: KeyReading, facts: Facts): void {
  const uses = new Map<number, { count: number; inferred: Set<string> }>();
  for (const place of reading.places) {
    const use = uses.get(place.index) ?? { count: 0, inferred: new Set() };
    use.count += 1;
    use.inferred.add(place.inferred);
    uses.set(place.index, use);
  }
  for (const place of reading.places) {
    const use = uses.get(place.index);
    const occurrences = facts.parameters.get(place.index + 1) ?? 0;
    place.ambiguous.value = use === undefined || use.inferred.size > 1 || occurrences > use.count;
  }
}

/** What no number of shards and no comment makes right, because connections are shared. */
export function neverAnywhere(facts: Facts): Refused | undefined {
  const lock = facts.functions.get('advisorySession');
  if (lock !== undefined) {
    return refuse(
      `${lock}() takes or gives back a lock of a session, and sessions share server connections here`,
      'Use pg_advisory_xact_lock(): it ends with the transaction.',
    );
  }
  const dynamic = facts.functions.get('dynamic');
  if (dynamic !== undefined) return refuse(`${dynamic}() is not supported through the proxy`);
  if (facts.hasTemporary) {
    return refuse(
      'temporary tables are not supported: sessions share server connections',
      'Use a WITH query or a table.',
    );
  }
  return undefined;
}

function decisionOf(
  node: Node,
  facts: Facts,
  scopes: StatementScopes,
  distribution: Distribution,
  target: Entry | undefined,
): Decision {
  const refused = refusedOutright(facts, scopes);
  if (refused !== undefined) return { kind: 'fixed', route: refused };
  if (scopes.writtenElsewhere.size > 0) return referenceWrite(node, facts, scopes);
  if (scopes.instances.length === 0) return placeless(facts, scopes);
  const withPlace = refusedWithPlace(facts, scopes);
  if (withPlace !== undefined) return { kind: 'fixed', route: withPlace };
  if ('InsertStmt' in node && target?.kind === 'sharded') {
    return shardedInsert(node.InsertStmt, target.instance, facts, scopes);
  }
  return keyed(node, facts, scopes, distribution);
}

function refusedOutright(facts: Facts, scopes: StatementScopes): Refused | undefined {
  const [unlisted] = scopes.unlisted;
  if (unlisted !== undefined) {
    return refuse(
      `table ${unlisted} is not listed in sharding.tables`,
      'List it as sharded (key, type) or as reference: true; or set sharding.unlisted: reference.',
    );
  }
  for (const relation of facts.relations) {
    if (scopes.seen.has(relation)) continue;
    const [unknown] = facts.unknownNodes;
    return refuse(
      `this use of table ${relation.relname ?? ''} is not understood${unknown === undefined ? '' : ` (${unknown})`}`,
      HINT_BY_HAND,
    );
  }
  if (scopes.keyAssigned !== undefined) {
    const { key } = scopes.keyAssigned;
    return refuse(
      `the shard key "${key}" of ${nameOf(scopes.keyAssigned)} cannot be changed, because its row would have to move to another shard`,
      'Delete the row and insert it again, in one transaction.',
    );
  }
  const lastValue = facts.functions.get('lastValue');
  if (lastValue !== undefined) {
    return refuse(
      `${lastValue}() belongs to a session, and sessions share server connections here`,
      'Use INSERT … RETURNING.',
    );
  }
  const setting = facts.functions.get('setConfig');
  const harmless: readonly FunctionClass[] = ['setConfig', 'same', 'shard'];
  const plainSetting =
    facts.relations.size === 0 && [...facts.functions.keys()].every((kind) => harmless.includes(kind));
  if (setting !== undefined && !plainSetting)
    return refuse('set_config() is supported only as a SELECT of its own', 'Use SET or SET LOCAL.');
  return undefined;
}

/** Against statements with sharded tables, even when they are bound to one shard. */
function refusedWithPlace(facts: Facts, scopes: StatementScopes): Refused | undefined {
  const lock = facts.functions.get('advisory');
  if (lock !== undefined) {
    return refuse(
      `${lock}() beside sharded tables would lock on one shard only, and exclude nobody who locks on another`,
      'Take the lock in a statement of its own: it goes to one shard, always the same.',
    );
  }
  const locksReference = facts.lockedRelations.some((relation) => scopes.otherAliases.has(relation.relname ?? ''));
  if (facts.hasLocking && scopes.otherAliases.size > 0 && (facts.locksEverything || locksReference)) {
    return refuse(
      'row locks on a table that is on every shard would be taken on one of them only',
      'Name the sharded table: FOR UPDATE OF <table>.',
    );
  }
  return undefined;
}

function setsOf(instances: readonly Instance[]): { sets: NonNullable<Instance['keys']>[]; unbound: boolean } {
  const sets = new Set(instances.flatMap(({ keys }) => (keys === undefined ? [] : [keys])));
  return { sets: [...sets], unbound: instances.some(({ keys }) => keys === undefined) };
}

function keyed(node: Node, facts: Facts, scopes: StatementScopes, distribution: Distribution): Decision {
  const { sets, unbound } = setsOf(scopes.instances);
  const rules = scopes.instances.map(({ rule }) => rule);
  const obstacle = spreadObstacle(node, facts, distribution);
  const spread =
    obstacle === undefined
      ? undefined
      : featureError(
          `${obstacle} cannot be answered across shards (${[...new Set(rules.map(nameOf))].join(', ')})`,
          bindHint(rules),
        );
  const clock = 'UpdateStmt' in node ? clockWatch(rules.map(nameOf)) : undefined;
  const fixedClock =
    clock !== undefined && scopes.reading.holeAt === undefined && facts.strings.some(({ value }) => spellsClock(value));
  return { kind: 'keyed', sets, unbound, spread: spread ?? (fixedClock ? clock.error : undefined), clock };
}

function shardedInsert(insert: InsertStmt, target: Instance, facts: Facts, scopes: StatementScopes): Decision {
  const others = scopes.instances.filter((instance) => instance !== target);
  const table = nameOf(target.rule);
  const rows = insertRows(insert, target.rule, scopes.reading);
  if (rows.kind === 'refused') return { kind: 'fixed', route: rows.nullKey ? nullKey(table) : rows.route };
  const { sets, unbound } = setsOf(others);
  const obstacle = rows.single
    ? 'a row that is built by a SELECT'
    : spreadObstacle({ InsertStmt: insert }, facts, { kind: 'replicated' });
  const spread =
    obstacle === undefined
      ? undefined
      : featureError(
          `${obstacle} in an INSERT into ${table} needs one shard`,
          bindHint([target.rule, ...others.map(({ rule }) => rule)]),
        );
  const clock = clockWatch([table]);
  const fixedClock = scopes.reading.holeAt === undefined && facts.strings.some(({ value }) => spellsClock(value));
  return {
    kind: 'rows',
    table,
    rows: rows.sources,
    sets,
    unbound,
    spread: spread ?? (fixedClock ? clock.error : undefined),
    clock,
    hasParameters: facts.parameters.size > 0,
    columns: rows.columns,
  };
}
