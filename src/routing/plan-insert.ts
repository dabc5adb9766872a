// The shard keys of the rows of an INSERT. The rule: every row must give its key itself, in the column list's place; what
// a DEFAULT, a trigger or a SELECT would make of it is not known here.
import type { InsertStmt, Node } from 'libpg-query';
import { type KeyReading, keyOf } from './key-expression.ts';
import type { KeySource } from './key-source.ts';
import { type Refused, refuse } from './refusal.ts';
import type { ShardedRule } from './scopes.ts';

export type InsertRows =
  /** `single`: the one source stands for all rows, however many a SELECT gives. */
  | { readonly kind: 'rows'; readonly sources: readonly KeySource[]; readonly single: boolean }
  | { readonly kind: 'refused'; readonly route: Refused; readonly nullKey: boolean };

export function insertRows(insert: InsertStmt, rule: ShardedRule, reading: KeyReading): InsertRows {
  const table = `${rule.schema}.${rule.name}`;
  const no = (message: string, hint: string): InsertRows => ({
    kind: 'refused',
    route: refuse(message, hint),
    nullKey: false,
  });
  const columns = insert.cols ?? [];
  if (columns.length === 0) {
    return no(`an INSERT into ${table} must name its columns`, `Write INSERT INTO ${table} (${rule.key}, …) VALUES …`);
  }
  const at = columns.findIndex((column) => 'ResTarget' in column && column.ResTarget.name === rule.key);
  const column = columns[at];
  if (column === undefined || !('ResTarget' in column) || (column.ResTarget.indirection ?? []).length > 0) {
    return no(
      `an INSERT into ${table} must give the shard key "${rule.key}"`,
      'A default of the column is not known before the row is on a shard: give the value in the statement.',
    );
  }
  const select =
    insert.selectStmt !== undefined && 'SelectStmt' in insert.selectStmt ? insert.selectStmt.SelectStmt : undefined;
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
    if (source !== undefined) return { kind: 'rows', sources: [source], single: true };
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
  return { kind: 'rows', sources, single: false };
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
