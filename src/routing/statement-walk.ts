// Walks one statement level by level, as PostgreSQL analyses it, and leaves in StatementScopes every table it meets and
// what is known of each sharded table's key. The rule: a part that is not visited leaves its relations unseen, and a
// statement with unseen relations is refused.
import type { DeleteStmt, InsertStmt, Node, RangeVar, SelectStmt, UpdateStmt } from 'libpg-query';
import { readCondition } from './conditions.ts';
import { type Distribution, innerJoined, instancesOf, readFromItem } from './from-clause.ts';
import {
  armOf,
  type Entry,
  type Level,
  resolveRelation,
  type ShardedRule,
  type StatementScopes,
  type WithScope,
  withScopes,
} from './scopes.ts';

const REPLICATED: Distribution = { kind: 'replicated' };

export class Walker {
  readonly scopes: StatementScopes;

  constructor(scopes: StatementScopes) {
    this.scopes = scopes;
  }

  /** Any statement below another one: WITH queries, sub-selects, the query of EXPLAIN. */
  query(node: Node | undefined, parent: Level | undefined, withs: WithScope | undefined): void {
    if (node === undefined) return;
    if ('SelectStmt' in node) this.select(node.SelectStmt, parent, withs);
    else if ('UpdateStmt' in node) this.update(node.UpdateStmt, parent, withs);
    else if ('DeleteStmt' in node) this.delete(node.DeleteStmt, parent, withs);
    else if ('InsertStmt' in node) this.insert(node.InsertStmt, parent, withs);
  }

  /** A SELECT; the distribution is that of its FROM. */
  select(select: SelectStmt, parent: Level | undefined, outerWiths: WithScope | undefined): Distribution {
    const withs = this.#withClause(select.withClause, parent, outerWiths);
    const [left, right] = [armOf(select.larg), armOf(select.rarg)];
    if (left !== undefined || right !== undefined) {
      if (left !== undefined) this.select(left, parent, withs);
      if (right !== undefined) this.select(right, parent, withs);
      // ORDER BY and LIMIT of a set operation see no tables of it.
      this.expression([select.sortClause, select.limitCount, select.limitOffset], { entries: [], parent }, withs);
      return { kind: 'unknown', why: 'a set operation' };
    }
    const level: Level = { entries: [], parent };
    const distribution = this.#from(select.fromClause ?? [], level, undefined, select.whereClause, withs);
    this.expression(
      [
        select.targetList,
        select.groupClause,
        select.havingClause,
        select.windowClause,
        select.valuesLists,
        select.sortClause,
        select.limitCount,
        select.limitOffset,
        select.distinctClause,
      ],
      level,
      withs,
    );
    return distribution;
  }

  update(update: UpdateStmt, parent: Level | undefined, outerWiths: WithScope | undefined): Distribution {
    const withs = this.#withClause(update.withClause, parent, outerWiths);
    const level: Level = { entries: [], parent };
    const target = this.#target(update.relation);
    if (target?.kind === 'sharded') this.#assigns(update.targetList, target.instance.rule, false);
    const distribution = this.#from(update.fromClause ?? [], level, target, update.whereClause, withs);
    this.expression([update.targetList, update.returningClause], level, withs);
    return distribution;
  }

  delete(remove: DeleteStmt, parent: Level | undefined, outerWiths: WithScope | undefined): Distribution {
    const withs = this.#withClause(remove.withClause, parent, outerWiths);
    const level: Level = { entries: [], parent };
    const target = this.#target(remove.relation);
    const distribution = this.#from(remove.usingClause ?? [], level, target, remove.whereClause, withs);
    this.expression(remove.returningClause, level, withs);
    return distribution;
  }

  /** An INSERT; the key of its rows is read by its planner, which gets the target's entry. */
  insert(insert: InsertStmt, parent: Level | undefined, outerWiths: WithScope | undefined): Entry | undefined {
    const withs = this.#withClause(insert.withClause, parent, outerWiths);
    const target = this.#target(insert.relation);
    if (target?.kind === 'sharded') this.#assigns(insert.onConflictClause?.targetList, target.instance.rule, true);
    const level: Level = { entries: target === undefined ? [] : [target], parent };
    this.query(insert.selectStmt, parent, withs);
    this.expression([insert.onConflictClause, insert.returningClause], level, withs);
    return target;
  }

  /** Looks for sub-selects in anything that is not a query level itself. */
  expression(value: unknown, level: Level, withs: WithScope | undefined): void {
    if (Array.isArray(value)) {
      for (const one of value) this.expression(one, level, withs);
      return;
    }
    if (typeof value !== 'object' || value === null) return;
    if ('SubLink' in value) {
      const { subselect, testexpr } = (value as { SubLink: { subselect?: Node; testexpr?: Node } }).SubLink;
      this.expression(testexpr, level, withs);
      this.query(subselect, level, withs);
      return;
    }
    for (const child of Object.values(value)) this.expression(child, level, withs);
  }

  /** The table that is written; WITH queries cannot be. */
  #target(relation: RangeVar | undefined): Entry | undefined {
    if (relation === undefined) return undefined;
    const entry = this.scopes.enter(relation, undefined);
    if (entry.kind === 'other')
      this.scopes.writtenElsewhere.add(resolveRelation(this.scopes.topology, relation, undefined).id);
    return entry;
  }

  /** Notes an assignment to the shard key, except `key = EXCLUDED.key`: that row was sent to this shard by this key. */
  #assigns(targets: readonly Node[] | undefined, rule: ShardedRule, onConflict: boolean): void {
    for (const node of targets ?? []) {
      if (!('ResTarget' in node) || node.ResTarget.name !== rule.key) continue;
      const { val } = node.ResTarget;
      const fields = val !== undefined && 'ColumnRef' in val ? (val.ColumnRef.fields ?? []) : [];
      const names = fields.map((field) => ('String' in field ? field.String.sval : undefined));
      if (onConflict && names.length === 2 && names[0] === 'excluded' && names[1] === rule.key) continue;
      this.scopes.keyAssigned ??= rule;
    }
  }

  #withClause(
    clause: SelectStmt['withClause'],
    parent: Level | undefined,
    outer: WithScope | undefined,
  ): WithScope | undefined {
    const { queries, inner } = withScopes(clause, outer);
    for (const { cte, scope } of queries) this.query(cte.ctequery, parent, scope);
    return inner;
  }

  /** FROM list (with an UPDATE's or DELETE's target in front) and WHERE, which filters all of it. */
  #from(
    items: readonly Node[],
    level: Level,
    target: Entry | undefined,
    where: Node | undefined,
    withs: WithScope | undefined,
  ): Distribution {
    const distributions: Distribution[] = [];
    if (target !== undefined) {
      level.entries.push(target);
      distributions.push(target.kind === 'sharded' ? { kind: 'spread', anchors: [target.instance] } : REPLICATED);
    }
    for (const item of items) {
      const { entries, distribution } = readFromItem(item, level, withs, this);
      level.entries.push(...entries);
      distributions.push(distribution);
    }
    const equalities = readCondition(where, level, new Set(instancesOf(level.entries)), this.scopes);
    this.expression(where, level, withs);
    // Items may come in any order (a, c, b with a.k = b.k and b.k = c.k): join the ones that can be joined until none can.
    let [all, ...rest] = distributions;
    for (let progress = true; progress && all !== undefined && rest.length > 0; ) {
      progress = false;
      for (const next of rest) {
        const attempt = innerJoined(all, next, equalities);
        if (attempt.kind === 'unknown') continue;
        all = attempt;
        rest = rest.filter((other) => other !== next);
        progress = true;
      }
    }
    if (all === undefined) return REPLICATED;
    const [stuck] = rest;
    return stuck === undefined ? all : innerJoined(all, stuck, equalities);
  }
}
