// One statement's plan, shared by all texts of its shape, and the small object that ties it to one text. The rule: a shard
// named by hand wins over the computed route, except where it would put a row in the wrong place.
import { classifyUtility } from '../sql/classify.ts';
import { commentHint } from '../sql/comment-hint.ts';
import type { ParsedStatement } from '../sql/parser.ts';
import type { Shape } from '../sql/shape.ts';
import { addsOnlyColumns, writeColumnList } from './column-list.ts';
import { isFromQuery } from './ddl.ts';
import { decide, type RouteTools } from './decision.ts';
import type { HoleFinder } from './hole-finder.ts';
import type { KeyReading } from './key-expression.ts';
import { keyFamily } from './placement.ts';
import {
  type BoundParameters,
  type PlannedStatement,
  type Rewritten,
  type Route,
  type RoutePart,
  SESSION_ACTIONS,
  type StatementAction,
} from './plan.ts';
import { bodyKind, type PlannedBody, planBody } from './plan-statement.ts';
import { planUtility } from './plan-utility.ts';
import { type Refused, refuse, refuseWith } from './refusal.ts';
import { mismatchRefusal, partialRefusal, type TableFacts, unseenRefusal } from './table-catalog.ts';
import { type KeyType, type Topology, tableId } from './topology.ts';

export interface CompiledStatement {
  readonly action: StatementAction;
  readonly body: PlannedBody;
  /** The shard that a comment names, or why that comment cannot be followed. */
  readonly byHand: number | Refused | undefined;
  /** The plan holds for its own text only. */
  readonly pinned: boolean;
  /** What was known of the tables when it was made. */
  readonly tables: TableFacts;
}

const INVALID_PARAMETER_VALUE = '22023';

/** Plans one parsed statement; `holeAt` when the plan is meant for a whole shape. */
export function compileStatement(
  statement: ParsedStatement,
  tools: RouteTools,
  holeAt: HoleFinder | undefined,
  shardNamed: (value: string) => number | undefined,
): CompiledStatement {
  const { tables } = tools;
  const reading: KeyReading = { placement: tools.placement, tables, holeAt, pinned: false, places: [] };
  const { topology } = tools;
  let body: PlannedBody;
  let action: StatementAction;
  if (bodyKind(statement.node) === undefined) {
    action = classifyUtility(statement.node, statement.text);
    body = planUtility(statement.node, action, topology, reading);
  } else {
    body = planBody(statement.node, topology, reading);
    action = { kind: 'query', merge: body.merge };
  }
  body = checked(body, action, statement, tables, topology);
  return { action, body, byHand: byHand(statement.text, body, tools, shardNamed), pinned: reading.pinned, tables };
}

/** What the catalog holds against the statement, and whether a column list can be put into its text. */
function checked(
  body: PlannedBody,
  action: StatementAction,
  statement: ParsedStatement,
  tables: TableFacts,
  topology: Topology,
): PlannedBody {
  // DDL is how a wrong table is put right.
  const mends = action.kind === 'ddl' || action.kind === 'ddlOutsideTransaction';
  const never = mends ? undefined : mismatchRefusal(tables, body.rules);
  if (never !== undefined) return { ...body, decision: { kind: 'fixed', route: never }, never };
  const partial =
    mends && !isFromQuery(statement.node) ? undefined : partialRefusal(tables, unlistedOf(body, topology));
  if (partial !== undefined) return { ...body, decision: { kind: 'fixed', route: partial } };
  const { decision } = body;
  if (decision.kind !== 'rows' || decision.columns === undefined) return body;
  const rewritten = writeColumnList(statement.text, decision.columns);
  if (rewritten !== undefined && addsOnlyColumns(rewritten, statement.node, decision.columns)) return body;
  return { ...body, decision: { kind: 'fixed', route: unwritable(decision.table) } };
}

/** Tables of the statement that are not listed; an unqualified name may mean one in each schema of the search path. */
function unlistedOf({ tables }: PlannedBody, { tables: listed, shards, searchPath }: Topology): string[] {
  if (shards.length === 1) return [];
  const [first = ''] = searchPath;
  return tables
    .filter((id) => !listed.has(id))
    .flatMap((id) =>
      id.startsWith(`${first}.`) ? searchPath.map((schema) => tableId(schema, id.slice(first.length + 1))) : [id],
    );
}

function unwritable(table: string): Refused {
  return refuse(
    `an INSERT into ${table} must name its columns: where they belong in this text is not certain`,
    'Write the column list behind the name of the table.',
  );
}

class Statement implements PlannedStatement {
  readonly text: string;
  readonly #compiled: CompiledStatement;
  readonly #shape: Shape | undefined;
  readonly #tools: RouteTools;
  #rewritten: Rewritten | undefined;

  constructor(compiled: CompiledStatement, text: string, shape: Shape | undefined, tools: RouteTools) {
    this.text = text;
    this.#compiled = compiled;
    this.#shape = shape;
    this.#tools = tools;
  }

  get action(): StatementAction {
    return this.#compiled.action;
  }

  get writes(): boolean {
    return this.#compiled.body.writes;
  }

  get locks(): boolean {
    return this.#compiled.body.locks;
  }

  get setConfig(): boolean {
    return this.#compiled.body.setConfig;
  }

  get tables(): readonly string[] {
    return this.#compiled.body.tables;
  }

  get lockFirst(): string | undefined {
    return this.#compiled.body.lockFirst;
  }

  get rewritten(): Rewritten | undefined {
    const { decision } = this.#compiled.body;
    if (decision.kind !== 'rows' || decision.columns === undefined) return undefined;
    this.#rewritten ??= writeColumnList(this.text, decision.columns);
    return this.#rewritten;
  }

  get outdated(): boolean {
    return this.#compiled.tables !== this.#tools.tables;
  }

  get manual(): boolean {
    return this.#compiled.byHand !== undefined;
  }

  route(parameters: BoundParameters | undefined): Route {
    const { byHand: hand } = this.#compiled;
    if (hand === undefined) return this.#seen(this.#computed(parameters));
    return typeof hand === 'number' ? this.routeTo(hand, parameters) : hand;
  }

  routeTo(shard: number, parameters: BoundParameters | undefined): Route {
    const { action, body } = this.#compiled;
    if (body.never !== undefined) return body.never;
    if (SESSION_ACTIONS.has(action.kind)) return this.#computed(parameters);
    // A row in the wrong place would be missed by every later statement that knows its key.
    if (body.decision.kind === 'rows') {
      if (body.decision.columns !== undefined && this.rewritten === undefined) return unwritable(body.decision.table);
      const computed = this.#computed(parameters);
      const misplaced = (computed.kind === 'one' && computed.shard !== shard) || computed.kind === 'split';
      if (misplaced) {
        return refuse(
          `a row for ${body.decision.table} would be put on shard ${this.#tools.topology.shards[shard] ?? shard}, where its shard key does not belong`,
          'Leave the shard out: the key decides.',
        );
      }
    }
    return this.#seen(this.#tools.one[shard] ?? refuse(`there is no shard ${shard}`));
  }

  #computed(parameters: BoundParameters | undefined): Route {
    const { decision } = this.#compiled.body;
    const route = decide(decision, this.text, this.#shape, parameters, this.#tools);
    if (decision.kind !== 'rows' || decision.columns === undefined) return route;
    const { columns } = decision;
    if (this.rewritten === undefined) return unwritable(decision.table);
    if (route.kind !== 'split') return route;
    const parts = route.parts.map((part) => ({ ...part, text: writeColumnList(part.text, columns)?.text }));
    return parts.every((part): part is RoutePart => part.text !== undefined)
      ? { kind: 'split', parts }
      : unwritable(decision.table);
  }

  /** A route to sharded tables, unless a shard of it has tables that nobody has looked at. */
  #seen(route: Route): Route {
    const { unseen, topology, one } = this.#tools;
    const { action, body } = this.#compiled;
    if (unseen.size === 0 || body.rules.length === 0 || action.kind === 'ddl') return route;
    for (const shard of unseen) {
      if (reaches(route, shard, one.length)) return unseenRefusal(topology.shards[shard] ?? String(shard));
    }
    return route;
  }
}

function reaches(route: Route, shard: number, shards: number): boolean {
  switch (route.kind) {
    case 'one':
      return route.shard === shard;
    case 'some':
      return route.shards.includes(shard);
    case 'split':
      return route.parts.some((part) => part.shard === shard);
    case 'all':
      return shard < shards;
    case 'any':
    case 'refused':
      return false;
  }
}

/** Ties a plan to one text; with a shape, `text` is the whole Query. */
export function plannedStatement(
  compiled: CompiledStatement,
  text: string,
  shape: Shape | undefined,
  tools: RouteTools,
): PlannedStatement {
  return new Statement(compiled, text, shape, tools);
}

function byHand(
  text: string,
  body: PlannedBody,
  tools: RouteTools,
  shardNamed: (value: string) => number | undefined,
): number | Refused | undefined {
  const hint = commentHint(text);
  if (hint === undefined) return undefined;
  const { shards } = tools.topology;
  if (hint.kind === 'wrong') {
    return refuseWith(
      INVALID_PARAMETER_VALUE,
      `the comment "atomshard: ${hint.text}" is not understood`,
      'Write shard=… or key=….',
    );
  }
  if (hint.kind === 'shard') {
    return (
      shardNamed(hint.shard) ??
      refuseWith(
        INVALID_PARAMETER_VALUE,
        `there is no shard "${hint.shard}"`,
        `Shards: ${shards.slice(0, 16).join(', ')}.`,
      )
    );
  }
  const type = keyTypeFor(body, tools);
  if (type === undefined) {
    return refuseWith(
      INVALID_PARAMETER_VALUE,
      'the type of the key in the comment is not certain here',
      'Write shard=… instead.',
    );
  }
  const placed = tools.placement.ofSoughtText(type, hint.key);
  return placed >= 0 ? placed : refuseWith(INVALID_PARAMETER_VALUE, `"${hint.key}" is not a shard key of type ${type}`);
}

/** The one key type of the statement's sharded tables, or else of all tables; types of one family hash alike. */
function keyTypeFor(body: PlannedBody, tools: RouteTools): KeyType | undefined {
  let rules: readonly { readonly type: KeyType }[] = body.rules;
  if (rules.length === 0) {
    rules = [...tools.topology.tables.values()].flatMap((rule) => (rule.kind === 'sharded' ? [rule] : []));
  }
  const families = new Set(rules.map(({ type }) => keyFamily(type)));
  const [family] = families;
  if (families.size !== 1 || family === undefined) return undefined;
  return family === 'integer' ? 'bigint' : family;
}
