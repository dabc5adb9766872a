// The shard keys of the rows of an INSERT. The rule: every row must give its key itself, in the place of the column list
// or of the table's known columns; what a DEFAULT, a trigger or a SELECT would make of it is not known here.
import type { InsertStmt, Node, SelectStmt } from 'libpg-query';
import { type KeyReading, keyOf } from './key-expression.ts';
import type { KeySource } from './key-source.ts';
import { type Refused, refuse } from './refusal.ts';
import type { ShardedRule } from './scopes.ts';
import { factOf } from './table-catalog.ts';

export type InsertRows =
  /** `single`: the one source stands for all rows, however many a SELECT gives. */
  | {
      readonly kind: 'rows';
      readonly sources: readonly KeySource[];
      readonly single: boolean;
      /** The columns that the statement means without naming them. */
      readonly columns: readonly string[] | undefined;
    }
  | { readonly kind: 'refused'; readonly route: Refused; readonly nullKey: boolean };

export function insertRows(insert: InsertStmt, rule: ShardedRule, reading: KeyReading): InsertRows {
  const table = `${rule.schema}.${rule.name}`;
  const no = (message: string, hint: string): InsertRows => ({
    kind: 'refused',
    route: refuse(message, hint),
    nullKey: false,
  });
  const named = insert.cols ?? [];
  const select =
    insert.selectStmt !== undefined && 'SelectStmt' in insert.selectStmt ? insert.selectStmt.SelectStmt : undefined;
  const implied = named.length > 0 || select === undefined ? undefined : impliedColumns(select, rule, reading);
  if (implied?.kind === 'unknown') {
    return no(
      `an INSERT into ${table} must name its columns: ${implied.why}`,
      `Write INSERT INTO ${table} (${rule.key}, …) VALUES …`,
    );
  }
  const at = implied === undefined ? placeOfKey(named, rule) : implied.columns.indexOf(rule.key);
  if (at < 0 && select !== undefined) {
    return no(
      `an INSERT into ${table} must give the shard key "${rule.key}"`,
      'A default of the column is not known before the row is on a shard: give the value in the statement.',
    );
  }
  if (select === undefined) return no(`DEFAULT VALUES gives no shard key for ${table}`, `Give "${rule.key}" a value.`);
  if (select.op !== undefined && select.op !== 'SETOP_NONE') {
    return no(
      `an INSERT into ${table} from a set operation has no certain shard key`,
      'Read first, then insert the rows.',
    );
  }
  const lists = select.valuesLists;
  if (lists === undefined) {
    const item = selectedItem(select.targetList ?? [], at);
    const source = item === undefined ? undefined : keyOf(item, rule.type, 'store', reading);
    if (source !== undefined) return { kind: 'rows', sources: [source], single: true, columns: implied?.columns };
    return no(
      `INSERT … SELECT into ${table} needs one shard key for all rows`,
      `Select the key "${rule.key}" as a literal or parameter, or read first and insert the rows.`,
    );
  }
  const sources: KeySource[] = [];
  for (const [row, list] of lists.entries()) {
    const item = 'List' in list ? list.List.items?.[at] : undefined;
    if (item !== undefined && 'A_Const' in item && item.A_Const.isnull === true) {
      return { kind: 'refused', route: refuse(''), nullKey: true };
    }
    const source = item === undefined ? undefined : keyOf(item, rule.type, 'store', reading);
    if (source !== undefined) {
      sources.push(source);
      continue;
    }
    return no(
      `row ${row + 1} of this INSERT into ${table} has no certain shard key`,
      `Give "${rule.key}" as a literal or a parameter, not as DEFAULT or a computed value.`,
    );
  }
  return { kind: 'rows', sources, single: false, columns: implied?.columns };
}

/** The place of the key in a written column list, -1 when it is not there as a whole. */
function placeOfKey(columns: readonly Node[], rule: ShardedRule): number {
  return columns.findIndex(
    (column) =>
      'ResTarget' in column && column.ResTarget.name === rule.key && (column.ResTarget.indirection ?? []).length === 0,
  );
}

type Implied =
  | { readonly kind: 'known'; readonly columns: readonly string[] }
  | { readonly kind: 'unknown'; readonly why: string };

/**
 * The columns that PostgreSQL fills without a list: as many from the left as there are values (generated ones count, and
 * take DEFAULT). More values than columns get them all, and PostgreSQL's own error.
 */
function impliedColumns(select: SelectStmt, rule: ShardedRule, reading: KeyReading): Implied {
  const fact = factOf(reading.tables, rule);
  if (fact.kind !== 'known') return { kind: 'unknown', why: fact.why };
  const [row] = select.valuesLists ?? [];
  const values = row === undefined ? countOf(select) : 'List' in row ? row.List.items?.length : undefined;
  if (values === undefined) return { kind: 'unknown', why: 'how many values there are is not certain' };
  return { kind: 'known', columns: fact.columns.slice(0, values) };
}

/** How many columns a SELECT has, unless a `*` hides it. */
function countOf(select: SelectStmt): number | undefined {
  const targets = select.targetList ?? [];
  return targets.length > 0 && selectedItem(targets, targets.length - 1) !== undefined ? targets.length : undefined;
}

/** Item number `at` of a select list, if no `*` before it hides how many columns there are. */
function selectedItem(targets: readonly Node[], at: number): Node | undefined {
  for (const target of targets.slice(0, at + 1)) {
    if (!('ResTarget' in target)) return undefined;
    const { val } = target.ResTarget;
    const isStar =
      val !== undefined && 'ColumnRef' in val && (val.ColumnRef.fields ?? []).some((field) => 'A_Star' in field);
    if (isStar || (val !== undefined && 'A_Indirection' in val)) return undefined;
  }
  const target = targets[at];
  return target !== undefined && 'ResTarget' in target ? target.ResTarget.val : undefined;
}
