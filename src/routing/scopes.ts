// Names of a statement resolved as PostgreSQL does: query levels, FROM entries, WITH queries; and for each sharded table
// mentioned, what its key is known to equal. The rule: a restriction is noted only if rows of other keys cannot influence
// the statement's result, so that each sharded table of a statement may be judged by itself.
import type { CommonTableExpr, RangeVar, SelectStmt, WithClause } from 'libpg-query';
import type { Facts } from '../sql/facts.ts';
import { isCatalogRelation } from '../sql/function-class.ts';
import type { KeyReading } from './key-expression.ts';
import type { KeySet } from './key-source.ts';
import { type TableRule, type Topology, tableId } from './topology.ts';

export type ShardedRule = Extract<TableRule, { kind: 'sharded' }>;

/** One mention of a sharded table. */
export interface Instance {
  readonly rule: ShardedRule;
  /** Its rows have one of these keys; undefined = any. */
  keys: KeySet | undefined;
  /** Instances whose key equals this one's in every row that counts: their restriction is this one's too. */
  readonly follows: Instance[];
}

export type Entry =
  | {
      readonly kind: 'sharded';
      readonly alias: string;
      readonly schema: string | undefined;
      readonly instance: Instance;
      readonly renamed: boolean;
    }
  /** Reference table, catalog, sub-select, function or WITH query: its columns are not known here. */
  | { readonly kind: 'other'; readonly alias: string; readonly schema: string | undefined };

/** One query level: what its FROM offers to expressions. */
export interface Level {
  entries: Entry[];
  readonly parent: Level | undefined;
}

export type RelationKind = 'sharded' | 'reference' | 'catalog' | 'with' | 'unlisted' | 'temporary';

export interface Resolved {
  readonly kind: RelationKind;
  readonly id: string;
  readonly rule: TableRule | undefined;
}

/** WITH names in force, innermost first. */
export interface WithScope {
  readonly names: ReadonlySet<string>;
  readonly outer: WithScope | undefined;
}

/** Everything about one statement that is gathered while it is read. */
export class StatementScopes {
  readonly topology: Topology;
  readonly facts: Facts;
  readonly reading: KeyReading;
  readonly instances: Instance[] = [];
  readonly references = new Set<string>();
  readonly catalogs = new Set<string>();
  readonly unlisted = new Set<string>();
  /** Relations that the walk has met; those in `facts.relations` and not here were not understood. */
  readonly seen = new Set<RangeVar>();
  /** Tables that are not sharded but written, anywhere in the statement. */
  readonly writtenElsewhere = new Set<string>();
  /** Names under which FROM clauses show tables that are not sharded. */
  readonly otherAliases = new Set<string>();
  /** A sharded table whose key column an UPDATE assigns. */
  keyAssigned: ShardedRule | undefined;

  constructor(topology: Topology, facts: Facts, reading: KeyReading) {
    this.topology = topology;
    this.facts = facts;
    this.reading = reading;
  }

  /** What a relation name means here, and notes that it was met. */
  resolve(relation: RangeVar, withs: WithScope | undefined): Resolved {
    this.seen.add(relation);
    const resolved = resolveRelation(this.topology, relation, withs);
    if (resolved.kind === 'catalog') this.catalogs.add(resolved.id);
    else if (resolved.kind === 'reference') this.references.add(resolved.id);
    else if (resolved.kind === 'unlisted') this.unlisted.add(resolved.id);
    return resolved;
  }

  /** A FROM entry, UPDATE or DELETE target. */
  enter(relation: RangeVar, withs: WithScope | undefined): Entry {
    const resolved = this.resolve(relation, withs);
    const alias = relation.alias?.aliasname ?? relation.relname ?? '';
    // An alias hides the schema: `public.t AS x` is only x.
    const schema = relation.alias === undefined ? relation.schemaname : undefined;
    if (resolved.rule?.kind !== 'sharded') {
      this.otherAliases.add(alias);
      return { kind: 'other', alias, schema };
    }
    const instance: Instance = { rule: resolved.rule, keys: undefined, follows: [] };
    this.instances.push(instance);
    return { kind: 'sharded', alias, schema, instance, renamed: (relation.alias?.colnames ?? []).length > 0 };
  }

  /** Lets restrictions flow along key equalities until nothing changes. */
  propagate(): void {
    for (let changed = true; changed; ) {
      changed = false;
      for (const instance of this.instances) {
        if (instance.keys !== undefined) continue;
        const source = instance.follows.find((other) => other.keys !== undefined);
        if (source === undefined) continue;
        instance.keys = source.keys;
        changed = true;
      }
    }
  }
}

/** The rules of a name: WITH query, then pg_catalog, then the search path; a table nobody listed is `unlisted` policy. */
export function resolveRelation(topology: Topology, relation: RangeVar, withs: WithScope | undefined): Resolved {
  const name = relation.relname ?? '';
  const schema = relation.schemaname;
  if (schema === undefined) {
    for (let scope = withs; scope !== undefined; scope = scope.outer) {
      if (scope.names.has(name)) return { kind: 'with', id: name, rule: undefined };
    }
    if (isCatalogRelation(name)) return { kind: 'catalog', id: tableId('pg_catalog', name), rule: undefined };
    for (const candidate of topology.searchPath) {
      const rule = topology.tables.get(tableId(candidate, name));
      if (rule !== undefined) return { kind: rule.kind, id: tableId(candidate, name), rule };
    }
    return unlistedRelation(topology, topology.searchPath[0] ?? 'public', name);
  }
  if (schema === 'pg_catalog' || schema === 'information_schema' || schema === 'pg_toast') {
    return { kind: 'catalog', id: tableId(schema, name), rule: undefined };
  }
  if (schema.startsWith('pg_temp')) return { kind: 'temporary', id: tableId(schema, name), rule: undefined };
  const rule = topology.tables.get(tableId(schema, name));
  return rule === undefined
    ? unlistedRelation(topology, schema, name)
    : { kind: rule.kind, id: tableId(schema, name), rule };
}

function unlistedRelation(topology: Topology, schema: string, name: string): Resolved {
  const id = tableId(schema, name);
  if (topology.unlisted === 'reject') return { kind: 'unlisted', id, rule: undefined };
  return { kind: 'reference', id, rule: { kind: 'reference', schema, name } };
}

/**
 * The WITH queries of one clause in order, each with the names that it may use itself: earlier siblings, or with
 * RECURSIVE all of them and itself. `inner` holds for the statement behind the clause.
 */
export function withScopes(
  clause: WithClause | undefined,
  outer: WithScope | undefined,
): {
  readonly queries: readonly { readonly cte: CommonTableExpr; readonly scope: WithScope | undefined }[];
  readonly inner: WithScope | undefined;
} {
  const ctes = (clause?.ctes ?? []).flatMap((node) => ('CommonTableExpr' in node ? [node.CommonTableExpr] : []));
  if (ctes.length === 0) return { queries: [], inner: outer };
  const all: WithScope = { names: new Set(ctes.map((cte) => cte.ctename ?? '')), outer };
  if (clause?.recursive === true) return { queries: ctes.map((cte) => ({ cte, scope: all })), inner: all };
  const queries: { cte: CommonTableExpr; scope: WithScope | undefined }[] = [];
  const earlier: string[] = [];
  for (const cte of ctes) {
    queries.push({ cte, scope: { names: new Set(earlier), outer } });
    earlier.push(cte.ctename ?? '');
  }
  return { queries, inner: all };
}

/** The bare select below a set operation, or undefined. */
export function armOf(arm: unknown): SelectStmt | undefined {
  if (typeof arm !== 'object' || arm === null) return undefined;
  if ('limitOption' in arm) return arm as SelectStmt;
  return 'SelectStmt' in arm ? (arm as { SelectStmt: SelectStmt }).SelectStmt : undefined;
}
