// The router: query text → plan, cached by exact text and below that by shape. The rule: the parser sees each shape once;
// afterwards a statement costs one pass over its text, a map look-up and a hash of its key.
import { assert } from '../kernel/assert.ts';
import { parse } from '../sql/parser.ts';
import { type Shape, shapeOf } from '../sql/shape.ts';
import { BoundedCache } from './bounded-cache.ts';
import { type RouteTools, routeTools } from './decision.ts';
import { holeFinder } from './hole-finder.ts';
import { Placement } from './placement.ts';
import type { QueryPlan } from './plan.ts';
import { type CompiledStatement, compileStatement, plannedStatement } from './planned-statement.ts';
import { type Refused, refuseWith } from './refusal.ts';
import { sameFacts, type TableCatalog } from './table-catalog.ts';
import type { Topology } from './topology.ts';

export interface RouterOptions {
  /** Entries of each of the two caches. */
  readonly planCacheMax?: number | undefined;
  /** Characters of text kept by each of the two caches. */
  readonly planCacheCharactersMax?: number | undefined;
}

const PLAN_CACHE_MAX = 5_000;
const PLAN_CACHE_CHARACTERS_MAX = 16 * 1024 * 1024;
/** A hit moves its entry to the young end only now and then: exact recency is not worth two map operations per query. */
const TOUCH_EVERY = 64;

const EMPTY: QueryPlan = { statements: [] };

export class Router {
  readonly topology: Topology;
  readonly placement: Placement;
  readonly #tools: RouteTools;
  readonly #texts: BoundedCache<QueryPlan>;
  /** null = texts of this shape need plans of their own. */
  readonly #shapes: BoundedCache<CompiledStatement | null>;
  #hits = 0;
  #parses = 0;

  /** `loadParser()` must have been awaited before the first plan. */
  constructor(topology: Topology, options: RouterOptions = {}) {
    this.topology = topology;
    this.placement = new Placement(topology);
    this.#tools = routeTools(topology, this.placement);
    const entries = options.planCacheMax ?? PLAN_CACHE_MAX;
    const characters = options.planCacheCharactersMax ?? PLAN_CACHE_CHARACTERS_MAX;
    assert(entries > 0 && characters > 0, 'plan caches hold something');
    this.#texts = new BoundedCache(entries, characters);
    this.#shapes = new BoundedCache(entries, characters);
  }

  /** How often the parser ran, and what the caches hold; for metrics and tests. */
  get statistics(): { readonly parses: number; readonly texts: number; readonly shapes: number } {
    return { parses: this.#parses, texts: this.#texts.size, shapes: this.#shapes.size };
  }

  /** The plan of a whole Query or Parse text. Never throws on client input. */
  plan(text: string): QueryPlan {
    const shape = shapeOf(text);
    if (shape !== undefined) {
      const compiled = this.#shapes.get(shape.key);
      if (compiled !== undefined && compiled !== null) {
        this.#hits += 1;
        if (this.#hits % TOUCH_EVERY === 0) this.#shapes.touch(shape.key, compiled);
        return { statements: [plannedStatement(compiled, text, shape, this.#tools)] };
      }
      if (compiled === undefined) {
        const fresh = this.#planShape(text, shape);
        if (fresh !== undefined) return fresh;
      }
    }
    return this.#planText(text);
  }

  /** Takes a new look at the shards' tables. Plans made before are dropped, those in use say that they are `outdated`. */
  adopt(catalog: TableCatalog): void {
    this.#tools.unseen = catalog.unseen;
    if (sameFacts(this.#tools.tables, catalog.tables)) return;
    this.#tools.tables = catalog.tables;
    this.#texts.clear();
    this.#shapes.clear();
  }

  /** Another router takes over: plans of this one say that they are `outdated`. */
  retire(): void {
    this.#tools.tables = new Map();
    this.#texts.clear();
    this.#shapes.clear();
  }

  /** The shard that `SET atomshard.shard` or a comment names, by logical name or number. */
  shardNamed(value: string): number | undefined {
    const named = this.topology.shards.indexOf(value);
    if (named >= 0) return named;
    const number = /^\d{1,4}$/.test(value) ? Number(value) : Number.NaN;
    return number < this.topology.shards.length ? number : undefined;
  }

  #planText(text: string): QueryPlan {
    const known = this.#texts.get(text);
    if (known !== undefined) {
      this.#hits += 1;
      if (this.#hits % TOUCH_EVERY === 0) this.#texts.touch(text, known);
      return known;
    }
    const plan = this.#parse(text);
    this.#texts.set(text, plan);
    return plan;
  }

  /** Plans the first text of a shape, for all of its shape; undefined when the shape does not hold the plan. */
  #planShape(text: string, shape: Shape): QueryPlan | undefined {
    this.#parses += 1;
    const outcome = parse(text);
    // A text that does not parse keeps no shape: another literal might.
    if (outcome.kind !== 'parsed') return undefined;
    const [statement, ...more] = outcome.statements;
    if (statement === undefined || more.length > 0) return undefined;
    const compiled = compileStatement(statement, this.#tools, holeFinder(text, shape), (value) =>
      this.shardNamed(value),
    );
    if (compiled.pinned) {
      this.#shapes.set(shape.key, null);
      return undefined;
    }
    this.#shapes.set(shape.key, compiled);
    return { statements: [plannedStatement(compiled, text, shape, this.#tools)] };
  }

  #parse(text: string): QueryPlan {
    this.#parses += 1;
    const outcome = parse(text);
    switch (outcome.kind) {
      case 'syntaxError':
        return {
          statements: [refusedStatement(text, syntaxError(outcome.message, outcome.position))],
        };
      case 'tooComplex': {
        const route = refuseWith('54001', `statement too complex: ${outcome.message}`, 'Send it in smaller pieces.');
        return { statements: [refusedStatement(text, route)] };
      }
      case 'parsed':
        break;
    }
    if (outcome.statements.length === 0) return EMPTY;
    return {
      statements: outcome.statements.map((statement) =>
        plannedStatement(
          compileStatement(statement, this.#tools, undefined, (value) => this.shardNamed(value)),
          statement.text,
          undefined,
          this.#tools,
        ),
      ),
    };
  }
}

function syntaxError(message: string, position: number): Refused {
  return { kind: 'refused', error: { code: '42601', message, position: String(position) } };
}

function refusedStatement(text: string, route: Refused): QueryPlan['statements'][number] {
  return {
    text,
    action: { kind: 'query', merge: 'first' },
    writes: true,
    locks: false,
    setConfig: false,
    tables: [],
    lockFirst: undefined,
    rewritten: undefined,
    outdated: false,
    manual: false,
    route: () => route,
    routeTo: () => route,
  };
}
