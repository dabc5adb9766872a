// What the shards' own catalogs say about the sharded tables, as one frozen snapshot that plans are made against.
// The rule: it only ever adds refusals or the columns of an INSERT that names none; where a row goes is the key's alone.
import { featureError, HINT_BY_HAND, type Refused, refuse, refuseWith } from './refusal.ts';
import { type TableRule, tableId } from './topology.ts';

export type TableFact =
  /** `columns`: what an INSERT without a column list fills, in order; every shard that answered says the same. */
  | { readonly kind: 'known'; readonly columns: readonly string[] }
  /** Not created yet, not looked at yet, or told differently by two shards (`disputed`): nothing may be built on it. */
  | { readonly kind: 'unknown'; readonly why: string; readonly disputed: boolean }
  /** Its key is not what the configuration says, so rows would be placed or found wrongly. */
  | { readonly kind: 'mismatch'; readonly why: string }
  /** Not a listed table: a view, a child or a rule through which a shard shows or changes its own rows of a sharded one. */
  | { readonly kind: 'partial'; readonly why: string };

/** By `schema.name`; a table that is not here is unknown. */
export type TableFacts = ReadonlyMap<string, TableFact>;

export interface TableCatalog {
  readonly tables: TableFacts;
  /** Shards whose tables have not been compared with the configuration: no sharded table is touched there. */
  readonly unseen: ReadonlySet<number>;
}

/** Nothing is known and nothing is held against anybody: a router without shards. */
export const EMPTY_CATALOG: TableCatalog = { tables: new Map(), unseen: new Set() };

const UNKNOWN: TableFact = { kind: 'unknown', why: 'no shard has been asked about it', disputed: false };

export function factOf(tables: TableFacts, rule: TableRule): TableFact {
  return tables.get(tableId(rule.schema, rule.name)) ?? UNKNOWN;
}

/** Why none of these tables' statements may run, if one of them is not what the configuration says. */
export function mismatchRefusal(tables: TableFacts, rules: readonly TableRule[]): Refused | undefined {
  for (const rule of rules) {
    const fact = factOf(tables, rule);
    if (fact.kind !== 'mismatch') continue;
    return {
      kind: 'refused',
      error: featureError(
        `table ${tableId(rule.schema, rule.name)} is not what sharding.tables says: ${fact.why}`,
        'Correct the configuration, or drop the table and create it again; its rows could not be found by their key.',
      ),
    };
  }
  return undefined;
}

/** Why a statement may not take an unlisted relation for the same on every shard; `ids` as `schema.name`. */
export function partialRefusal(tables: TableFacts, ids: readonly string[]): Refused | undefined {
  for (const id of ids) {
    const fact = tables.get(id);
    if (fact?.kind !== 'partial') continue;
    return refuse(
      `${id} ${fact.why} and is not listed in sharding.tables, so each shard has its own part of it`,
      `List it with the shard key of that table. Otherwise: ${HINT_BY_HAND}`,
    );
  }
  return undefined;
}

const CANNOT_CONNECT = '08001';

/** Refuses a shard whose tables nobody has compared with the configuration yet. */
export function unseenRefusal(shard: string): Refused {
  return refuseWith(
    CANNOT_CONNECT,
    `the tables of ${shard} have not been compared with sharding.tables yet`,
    'That happens as soon as it answers; try again in a moment.',
  );
}

/** Whether plans made against `before` hold for `after` as well. */
export function sameFacts(before: TableFacts, after: TableFacts): boolean {
  if (before.size !== after.size) return false;
  for (const [table, fact] of after) if (!sameFact(before.get(table), fact)) return false;
  return true;
}

function sameFact(before: TableFact | undefined, after: TableFact): boolean {
  if (before?.kind === 'known' && after.kind === 'known') {
    const { columns } = before;
    return columns.length === after.columns.length && columns.every((column, at) => column === after.columns[at]);
  }
  return before !== undefined && before.kind !== 'known' && after.kind === before.kind && before.why === after.why;
}
