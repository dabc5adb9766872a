// One statement's plan, shared by all texts of its shape, and the small object that ties it to one text. The rule: a shard
// named by hand wins over the computed route, except where it would put a row in the wrong place.
import { classifyUtility } from '../sql/classify.ts';
import { commentHint } from '../sql/comment-hint.ts';
import type { ParsedStatement } from '../sql/parser.ts';
import type { Shape } from '../sql/shape.ts';
import { decide, type RouteTools } from './decision.ts';
import type { HoleFinder } from './hole-finder.ts';
import type { KeyReading } from './key-expression.ts';
import { keyFamily } from './placement.ts';
import type { BoundParameters, PlannedStatement, Route, StatementAction } from './plan.ts';
import { bodyKind, type PlannedBody, planBody } from './plan-statement.ts';
import { planUtility } from './plan-utility.ts';
import { type Refused, refuse, refuseWith } from './refusal.ts';
import type { KeyType } from './topology.ts';

export interface CompiledStatement {
  readonly action: StatementAction;
  readonly body: PlannedBody;
  /** The shard that a comment names, or why that comment cannot be followed. */
  readonly byHand: number | Refused | undefined;
  /** The plan holds for its own text only. */
  readonly pinned: boolean;
}

const INVALID_PARAMETER_VALUE = '22023';

/** Plans one parsed statement; `holeAt` when the plan is meant for a whole shape. */
export function compileStatement(
  statement: ParsedStatement,
  tools: RouteTools,
  holeAt: HoleFinder | undefined,
  shardNamed: (value: string) => number | undefined,
): CompiledStatement {
  const reading: KeyReading = { placement: tools.placement, holeAt, pinned: false, places: [] };
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
  return { action, body, byHand: byHand(statement.text, body, tools, shardNamed), pinned: reading.pinned };
}

/** Statements that a shard named by hand has no bearing on: the session's own affairs. */
const NOT_BY_HAND: ReadonlySet<StatementAction['kind']> = new Set([
  'begin',
  'commit',
  'rollback',
  'savepoint',
  'release',
  'rollbackTo',
  'set',
  'resetAll',
  'setTransaction',
  'setSessionCharacteristics',
  'setConstraints',
  'discard',
  'deallocate',
]);

class Statement implements PlannedStatement {
  readonly text: string;
  readonly #compiled: CompiledStatement;
  readonly #shape: Shape | undefined;
  readonly #tools: RouteTools;

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

  get manual(): boolean {
    return this.#compiled.byHand !== undefined;
  }

  route(parameters: BoundParameters | undefined): Route {
    const { byHand: hand } = this.#compiled;
    if (hand === undefined) return this.#computed(parameters);
    return typeof hand === 'number' ? this.routeTo(hand, parameters) : hand;
  }

  routeTo(shard: number, parameters: BoundParameters | undefined): Route {
    const { action, body } = this.#compiled;
    if (body.never !== undefined) return body.never;
    if (NOT_BY_HAND.has(action.kind)) return this.#computed(parameters);
    // A row in the wrong place would be missed by every later statement that knows its key.
    if (body.decision.kind === 'rows') {
      const computed = this.#computed(parameters);
      const misplaced = (computed.kind === 'one' && computed.shard !== shard) || computed.kind === 'split';
      if (misplaced) {
        return refuse(
          `a row for ${body.decision.table} would be put on shard ${this.#tools.topology.shards[shard] ?? shard}, where its shard key does not belong`,
          'Leave the shard out: the key decides.',
        );
      }
    }
    return this.#tools.one[shard] ?? refuse(`there is no shard ${shard}`);
  }

  #computed(parameters: BoundParameters | undefined): Route {
    return decide(this.#compiled.body.decision, this.text, this.#shape, parameters, this.#tools);
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
