// May a statement run on several shards, its rows simply appended? The rule: every construct that combines rows, orders
// them, counts them, or gives a value that differs per server is an obstacle; what is not known is one too.
import type { Node, SelectStmt } from 'libpg-query';
import { type Facts, factsOf } from '../sql/facts.ts';
import type { FunctionClass } from '../sql/function-class.ts';
import type { Distribution } from './from-clause.ts';

/** What stands against several shards, in words that fit before "cannot be answered across shards". */
export function spreadObstacle(node: Node, facts: Facts, distribution: Distribution): string | undefined {
  if (facts.hasWith) return 'a WITH query';
  if (facts.hasSubLink) return 'a sub-select';
  const clause = 'SelectStmt' in node ? selectObstacle(node.SelectStmt) : undefined;
  if (clause !== undefined) return clause;
  if (distribution.kind === 'unknown') return distribution.why;
  for (const select of facts.selects) {
    if (select.valuesLists === undefined && !('SelectStmt' in node && node.SelectStmt === select))
      return 'a sub-select';
  }
  if (facts.hasWindow) return 'a window function';
  const [unknown] = facts.unknownNodes;
  if (unknown !== undefined) return `an expression that is not understood (${unknown})`;
  if (facts.systemColumn !== undefined)
    return `the system column ${facts.systemColumn}, which means something else on each shard,`;
  if (facts.serverCast !== undefined) return `a cast to ${facts.serverCast}, which means something else on each shard,`;
  return functionObstacle(node, facts);
}

function selectObstacle(select: SelectStmt): string | undefined {
  if (select.op !== undefined && select.op !== 'SETOP_NONE') return 'a set operation (UNION, INTERSECT, EXCEPT)';
  if (select.intoClause !== undefined) return 'SELECT INTO';
  if (select.distinctClause !== undefined) return 'DISTINCT';
  if (select.groupClause !== undefined) return 'GROUP BY';
  if (select.havingClause !== undefined) return 'HAVING';
  if (select.windowClause !== undefined) return 'a window function';
  if (select.limitCount !== undefined || select.limitOffset !== undefined) return 'LIMIT or OFFSET';
  if (select.sortClause !== undefined) return 'ORDER BY';
  return undefined;
}

const OBSTACLES: Readonly<Record<FunctionClass, string | undefined>> = {
  same: undefined,
  clock: 'reads a clock, and each shard has its own, so it',
  random: 'is volatile, so it',
  shard: 'tells about one server, so it',
  sequence: 'works on a sequence, and each shard has its own, so it',
  lastValue: 'belongs to a session on one server, so it',
  advisory: 'locks on one server, so it',
  advisorySession: 'locks on one server, so it',
  setConfig: 'changes settings of one server, so it',
  effect: 'acts on one server, so it',
  dynamic: 'runs SQL that is not seen here, so it',
  aggregate: 'combines rows of all shards, so it',
  unknown: 'is not known here, so it',
};

function functionObstacle(node: Node, facts: Facts): string | undefined {
  for (const [kind, name] of facts.functions) {
    const why = OBSTACLES[kind];
    if (why === undefined) continue;
    // Comparing rows with the present (`expires < now()`) is asked of each shard's own rows; only stored or shown
    // moments would differ between rows of one statement.
    if (kind === 'clock' && !clockOutsideWhere(node)) continue;
    return `${name} ${why}`;
  }
  return undefined;
}

function clockOutsideWhere(node: Node): boolean {
  const statement: unknown = Object.values(node)[0];
  if (typeof statement !== 'object' || statement === null) return true;
  const rest = Object.fromEntries(Object.entries(statement).filter(([field]) => field !== 'whereClause'));
  return factsOf({ SelectStmt: rest }).functions.has('clock');
}
