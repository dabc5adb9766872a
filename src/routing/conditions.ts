// What the conjuncts of a WHERE or ON say about shard keys. The rule: a conjunct counts only for tables whose rows it
// really filters (`filtered`), and only when it is `key = value`, IN, = ANY, an OR of those, or `key = key`.
import type { A_Expr, ColumnRef, Node } from 'libpg-query';
import { keyOf, keysOfArray, keysOfList } from './key-expression.ts';
import type { KeySet, KeySource } from './key-source.ts';
import { keyFamily } from './placement.ts';
import type { Instance, Level, StatementScopes } from './scopes.ts';

/** Two sharded tables whose keys are equal in every row that passes a condition. */
export interface KeyEquality {
  readonly a: Instance;
  readonly b: Instance;
}

/** Reads one condition: notes restrictions on `filtered` instances and returns the key equalities it contains. */
export function readCondition(
  condition: Node | undefined,
  level: Level,
  filtered: ReadonlySet<Instance>,
  scopes: StatementScopes,
): KeyEquality[] {
  const equalities: KeyEquality[] = [];
  for (const conjunct of conjunctsOf(condition)) {
    const equality = keyEquality(conjunct, level);
    if (equality !== undefined) {
      equalities.push(equality);
      if (filtered.has(equality.a)) equality.a.follows.push(equality.b);
      if (filtered.has(equality.b)) equality.b.follows.push(equality.a);
      continue;
    }
    const bound = restriction(conjunct, level, scopes);
    if (bound !== undefined && filtered.has(bound.instance)) restrict(bound.instance, bound.keys);
  }
  return equalities;
}

/** The first restriction stands, unless a later one has fewer keys: each of them alone holds. */
export function restrict(instance: Instance, keys: KeySet): void {
  if (instance.keys === undefined || keys.sources.length < instance.keys.sources.length) instance.keys = keys;
}

function conjunctsOf(condition: Node | undefined): Node[] {
  if (condition === undefined) return [];
  if ('BoolExpr' in condition && condition.BoolExpr.boolop === 'AND_EXPR') {
    return (condition.BoolExpr.args ?? []).flatMap(conjunctsOf);
  }
  return [condition];
}

interface Restriction {
  readonly instance: Instance;
  readonly keys: KeySet;
}

function restriction(node: Node, level: Level, scopes: StatementScopes): Restriction | undefined {
  if ('BoolExpr' in node && node.BoolExpr.boolop === 'OR_EXPR') return anyOf(node.BoolExpr.args ?? [], level, scopes);
  if (!('A_Expr' in node) || !isPlainEquals(node.A_Expr)) return undefined;
  const { kind, lexpr, rexpr } = node.A_Expr;
  if (lexpr === undefined || rexpr === undefined) return undefined;
  if (kind === 'AEXPR_OP') {
    return compared(lexpr, rexpr, level, scopes) ?? compared(rexpr, lexpr, level, scopes);
  }
  const instance = keyColumn(lexpr, level);
  if (instance === undefined) return undefined;
  const { type } = instance.rule;
  if (kind === 'AEXPR_IN' && 'List' in rexpr) {
    const keys = keysOfList(rexpr.List.items ?? [], type, scopes.reading);
    return keys === undefined ? undefined : { instance, keys };
  }
  if (kind !== 'AEXPR_OP_ANY') return undefined;
  const keys = keysOfArray(rexpr, type, scopes.reading);
  return keys === undefined ? undefined : { instance, keys };
}

function compared(column: Node, value: Node, level: Level, scopes: StatementScopes): Restriction | undefined {
  const instance = keyColumn(column, level);
  if (instance === undefined) return undefined;
  const source = keyOf(value, instance.rule.type, 'seek', scopes.reading);
  return source === undefined ? undefined : { instance, keys: { sources: [source] } };
}

/** Every branch must restrict the same table; each by one conjunct of its own. */
function anyOf(branches: readonly Node[], level: Level, scopes: StatementScopes): Restriction | undefined {
  let instance: Instance | undefined;
  const sources: KeySource[] = [];
  for (const branch of branches) {
    let found: Restriction | undefined;
    for (const conjunct of conjunctsOf(branch)) {
      const candidate = restriction(conjunct, level, scopes);
      if (candidate !== undefined && (instance === undefined || candidate.instance === instance)) found ??= candidate;
    }
    if (found === undefined) return undefined;
    instance = found.instance;
    sources.push(...found.keys.sources);
  }
  return instance === undefined ? undefined : { instance, keys: { sources } };
}

/** `=` without a schema, or pg_catalog's. */
function isPlainEquals(expression: A_Expr): boolean {
  const names = (expression.name ?? []).map((name) => ('String' in name ? name.String.sval : undefined));
  return names.at(-1) === '=' && (names.length === 1 || (names.length === 2 && names[0] === 'pg_catalog'));
}

function keyEquality(node: Node, level: Level): KeyEquality | undefined {
  if (!('A_Expr' in node) || node.A_Expr.kind !== 'AEXPR_OP' || !isPlainEquals(node.A_Expr)) return undefined;
  const { lexpr, rexpr } = node.A_Expr;
  if (lexpr === undefined || rexpr === undefined) return undefined;
  const a = keyColumn(lexpr, level);
  const b = keyColumn(rexpr, level);
  if (a === undefined || b === undefined || a === b) return undefined;
  return keyFamily(a.rule.type) === keyFamily(b.rule.type) ? { a, b } : undefined;
}

/** The instance whose shard key this expression is, if that is certain. */
export function keyColumn(node: Node, level: Level): Instance | undefined {
  if (!('ColumnRef' in node)) return undefined;
  const names = columnNames(node.ColumnRef);
  if (names === undefined) return undefined;
  const [column, table, schema] = [names.at(-1) ?? '', names.at(-2), names.at(-3)];
  return table === undefined ? unqualified(column, level) : qualified(schema, table, column, level);
}

function columnNames(reference: ColumnRef): string[] | undefined {
  const names: string[] = [];
  for (const field of reference.fields ?? []) {
    if (!('String' in field)) return undefined;
    names.push(field.String.sval ?? '');
  }
  return names.length >= 1 && names.length <= 3 ? names : undefined;
}

/**
 * A bare column name is the key of the only sharded table of this level that has one of that name: another table of the
 * level with such a column would make PostgreSQL refuse it as ambiguous (or, after USING, be equal to it).
 * Outer levels are not asked, because a table here may have the column too.
 */
function unqualified(column: string, level: Level): Instance | undefined {
  let found: Instance | undefined;
  for (const entry of level.entries) {
    if (entry.kind !== 'sharded' || entry.instance.rule.key !== column) continue;
    // After renaming (`AS t (a, b)`) nobody knows which column this is.
    if (entry.renamed) return undefined;
    const { instance } = entry;
    if (found === undefined) found = instance;
    else if (found.follows.includes(instance)) found = instance;
    // Merged by USING, the column is the one of the table that the other follows; otherwise it is ambiguous.
    else if (!instance.follows.includes(found)) return undefined;
  }
  return found;
}

function qualified(schema: string | undefined, table: string, column: string, level: Level): Instance | undefined {
  for (let at: Level | undefined = level; at !== undefined; at = at.parent) {
    const matches = at.entries.filter(
      (entry) =>
        entry.alias === table && (schema === undefined || entry.schema === undefined || entry.schema === schema),
    );
    if (matches.length === 0) continue;
    const entry = matches[0];
    if (matches.length > 1 || entry === undefined || entry.kind !== 'sharded' || entry.renamed) return undefined;
    return entry.instance.rule.key === column ? entry.instance : undefined;
  }
  return undefined;
}
