// FROM clauses: which entries they offer, which rows their ON conditions filter, and whether joining each shard by itself
// and appending the results equals joining everything ("distribution").
import type { JoinExpr, Node } from 'libpg-query';
import { type KeyEquality, readCondition } from './conditions.ts';
import type { Entry, Instance, Level, StatementScopes, WithScope } from './scopes.ts';
import type { Walker } from './statement-walk.ts';

/**
 * - replicated: the same rows on every shard.
 * - spread: each row is on exactly one shard, the one of the (never NULL) key of each of the anchors.
 * - unknown: joining shard by shard would lose or repeat rows; `why` says it.
 */
export type Distribution =
  | { readonly kind: 'replicated' }
  | { readonly kind: 'spread'; readonly anchors: readonly Instance[] }
  | { readonly kind: 'unknown'; readonly why: string };

export interface FromItem {
  readonly entries: Entry[];
  readonly distribution: Distribution;
}

const REPLICATED: Distribution = { kind: 'replicated' };

/** One item of a FROM list, with its ON conditions read. `level` is the level that it will belong to. */
export function readFromItem(node: Node, level: Level, withs: WithScope | undefined, walker: Walker): FromItem {
  if ('RangeVar' in node) {
    const entry = walker.scopes.enter(node.RangeVar, withs);
    return { entries: [entry], distribution: distributionOf(entry, node, withs, walker.scopes) };
  }
  if ('JoinExpr' in node) return readJoin(node.JoinExpr, level, withs, walker);
  if ('RangeSubselect' in node) {
    const { subquery, alias, lateral } = node.RangeSubselect;
    const before = walker.scopes.instances.length;
    // LATERAL sees its siblings, which are not known yet: names it takes from them stay unresolved.
    walker.query(subquery, lateral === true ? undefined : level.parent, withs);
    const entry: Entry = { kind: 'other', alias: alias?.aliasname ?? '', schema: undefined };
    const valuesOnly =
      subquery !== undefined &&
      'SelectStmt' in subquery &&
      subquery.SelectStmt.valuesLists !== undefined &&
      subquery.SelectStmt.limitCount === undefined &&
      subquery.SelectStmt.limitOffset === undefined &&
      lateral !== true;
    const distribution: Distribution =
      valuesOnly && walker.scopes.instances.length === before ? REPLICATED : { kind: 'unknown', why: 'a sub-select' };
    return { entries: [entry], distribution };
  }
  const alias = aliasOf(node);
  walker.expression(node, level, withs);
  const distribution: Distribution =
    'RangeFunction' in node && node.RangeFunction.lateral !== true
      ? REPLICATED
      : { kind: 'unknown', why: 'an entry of FROM that is not understood' };
  return { entries: [{ kind: 'other', alias, schema: undefined }], distribution };
}

function distributionOf(entry: Entry, node: Node, withs: WithScope | undefined, scopes: StatementScopes): Distribution {
  if (entry.kind === 'sharded') return { kind: 'spread', anchors: [entry.instance] };
  if (!('RangeVar' in node)) return REPLICATED;
  const { kind } = scopes.resolve(node.RangeVar, withs);
  return kind === 'reference'
    ? REPLICATED
    : { kind: 'unknown', why: `a ${kind === 'with' ? 'WITH query' : `${kind} table`}` };
}

function aliasOf(node: Node): string {
  return 'RangeFunction' in node ? (node.RangeFunction.alias?.aliasname ?? '') : '';
}

function readJoin(join: JoinExpr, level: Level, withs: WithScope | undefined, walker: Walker): FromItem {
  const nothing: FromItem = { entries: [], distribution: { kind: 'unknown', why: 'a join' } };
  const left = join.larg === undefined ? nothing : readFromItem(join.larg, level, withs, walker);
  const right = join.rarg === undefined ? nothing : readFromItem(join.rarg, level, withs, walker);
  const entries = [...left.entries, ...right.entries];
  const inside: Level = { entries, parent: level.parent };
  const leftFiltered = join.jointype === 'JOIN_INNER' || join.jointype === 'JOIN_RIGHT';
  const rightFiltered = join.jointype === 'JOIN_INNER' || join.jointype === 'JOIN_LEFT';
  const filtered = new Set<Instance>([
    ...(leftFiltered ? instancesOf(left.entries) : []),
    ...(rightFiltered ? instancesOf(right.entries) : []),
  ]);
  walker.expression(join.quals, inside, withs);
  const equalities = [
    ...readCondition(join.quals, inside, filtered, walker.scopes),
    ...usingEqualities(join, left.entries, right.entries, filtered),
  ];
  const distribution = joined(join, left.distribution, right.distribution, equalities);
  // `(a JOIN b …) AS j` hides a and b from everything outside.
  if (join.alias === undefined) return { entries, distribution };
  return { entries: [{ kind: 'other', alias: join.alias.aliasname ?? '', schema: undefined }], distribution };
}

/** USING (key) equates the one left and the one right table that have a key of that name. */
function usingEqualities(
  join: JoinExpr,
  left: readonly Entry[],
  right: readonly Entry[],
  filtered: ReadonlySet<Instance>,
): KeyEquality[] {
  const equalities: KeyEquality[] = [];
  for (const column of join.usingClause ?? []) {
    const name = 'String' in column ? column.String.sval : undefined;
    const [a, ...moreLeft] = withKey(left, name);
    const [b, ...moreRight] = withKey(right, name);
    if (a === undefined || b === undefined || moreLeft.length > 0 || moreRight.length > 0) continue;
    equalities.push({ a, b });
    if (filtered.has(a)) a.follows.push(b);
    if (filtered.has(b)) b.follows.push(a);
  }
  return equalities;
}

function withKey(entries: readonly Entry[], name: string | undefined): Instance[] {
  return entries.flatMap((entry) =>
    entry.kind === 'sharded' && !entry.renamed && entry.instance.rule.key === name ? [entry.instance] : [],
  );
}

export function instancesOf(entries: readonly Entry[]): Instance[] {
  return entries.flatMap((entry) => (entry.kind === 'sharded' ? [entry.instance] : []));
}

function joined(
  join: JoinExpr,
  left: Distribution,
  right: Distribution,
  equalities: readonly KeyEquality[],
): Distribution {
  if (join.jointype === 'JOIN_INNER') return innerJoined(left, right, equalities);
  if (join.jointype === 'JOIN_RIGHT') return leftJoined(right, left, equalities);
  if (join.jointype === 'JOIN_LEFT') return leftJoined(left, right, equalities);
  if (left.kind === 'replicated' && right.kind === 'replicated') return left;
  return { kind: 'unknown', why: 'a FULL JOIN' };
}

/** Inner join of two items; also what a comma or UPDATE … FROM does. */
export function innerJoined(left: Distribution, right: Distribution, equalities: readonly KeyEquality[]): Distribution {
  if (left.kind === 'unknown') return left;
  if (right.kind === 'unknown') return right;
  if (left.kind === 'replicated') return right;
  if (right.kind === 'replicated') return left;
  if (!connected(left.anchors, right.anchors, equalities)) {
    return { kind: 'unknown', why: 'a join of sharded tables whose shard keys are not equated' };
  }
  return { kind: 'spread', anchors: [...left.anchors, ...right.anchors] };
}

/** Every row of the outer side must appear exactly once when it has no partner, and its partners must be where it is. */
function leftJoined(outer: Distribution, inner: Distribution, equalities: readonly KeyEquality[]): Distribution {
  if (outer.kind === 'unknown') return outer;
  if (inner.kind === 'unknown') return inner;
  if (inner.kind === 'replicated') return outer;
  if (outer.kind === 'replicated') {
    return { kind: 'unknown', why: 'an outer join that keeps rows of a reference table without a sharded partner' };
  }
  if (!connected(outer.anchors, inner.anchors, equalities)) {
    return { kind: 'unknown', why: 'a join of sharded tables whose shard keys are not equated' };
  }
  // The inner side's key may be NULL from here on.
  return outer;
}

function connected(left: readonly Instance[], right: readonly Instance[], equalities: readonly KeyEquality[]): boolean {
  return equalities.some(
    ({ a, b }) => (left.includes(a) && right.includes(b)) || (left.includes(b) && right.includes(a)),
  );
}
