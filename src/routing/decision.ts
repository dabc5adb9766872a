// The part of a plan that is left to do when values are known: keys → shards → route. It allocates nothing for the common
// case of one key. The rule: more than one shard is an answer only where the planner found nothing against it.
import type { Shape } from '../sql/shape.ts';
import { gather, type KeySet, type KeySource, type Literals, placeSource, ShardSet } from './key-source.ts';
import { NULL_KEY, type Placement, UNREADABLE, UNSTABLE } from './placement.ts';
import type { BoundParameters, Route, RoutingError } from './plan.ts';
import { featureError, refuse, refuseWith } from './refusal.ts';
import { splitRows } from './row-split.ts';
import { EMPTY_CATALOG, type TableCatalog, type TableFacts } from './table-catalog.ts';
import type { Topology } from './topology.ts';

/**
 * - fixed: the same place whatever the values.
 * - keyed: rows of sharded tables whose keys are known (`sets`) or not (`unbound`). `spread` says why the statement may
 *   not run on several shards; undefined = it may. `lonely` = where it goes when no key can match anything.
 * - rows: an INSERT with one key source per row.
 */
export type Decision =
  | { readonly kind: 'fixed'; readonly route: Route }
  | {
      readonly kind: 'keyed';
      readonly sets: readonly KeySet[];
      readonly unbound: boolean;
      readonly spread: RoutingError | undefined;
      readonly clock: ClockWatch | undefined;
    }
  | {
      readonly kind: 'rows';
      readonly table: string;
      readonly rows: readonly KeySource[];
      readonly sets: readonly KeySet[];
      readonly unbound: boolean;
      readonly spread: RoutingError | undefined;
      readonly clock: ClockWatch | undefined;
      readonly hasParameters: boolean;
      /** The statement named no columns: the ones that must be written into its text, because `rows` was read by them. */
      readonly columns: readonly string[] | undefined;
    }
  /** A write to a reference table: everywhere, unless a value of this execution is a clock in disguise. */
  | { readonly kind: 'everywhere'; readonly clock: ClockWatch };

/** Values that are written on several shards must not spell `now`: each shard would read its own clock. */
export interface ClockWatch {
  readonly error: RoutingError;
}

/** What routes need of their router. */
export interface RouteTools {
  readonly topology: Topology;
  /** Replaced as a whole; a plan remembers the one that it was made with. */
  tables: TableFacts;
  /** No plan hangs on it: it is asked at each route. */
  unseen: TableCatalog['unseen'];
  readonly placement: Placement;
  readonly shards: ShardSet;
  /** One frozen route per shard. */
  readonly one: readonly Route[];
}

export function routeTools(topology: Topology, placement: Placement): RouteTools {
  const one = topology.shards.map((_, shard): Route => ({ kind: 'one', shard }));
  return { topology, ...EMPTY_CATALOG, placement, shards: new ShardSet(topology.shards.length), one };
}

const ALL: Route = { kind: 'all' };

/** Where a statement with this decision runs, given its text (for literals) and parameters. */
export function decide(
  decision: Decision,
  text: string,
  shape: Shape | undefined,
  parameters: BoundParameters | undefined,
  tools: RouteTools,
): Route {
  const literals: Literals | undefined = shape === undefined ? undefined : { text, holes: shape.holes };
  switch (decision.kind) {
    case 'fixed':
      return decision.route;
    case 'everywhere':
      return clockRefusal(decision.clock, literals, parameters) ?? ALL;
    case 'keyed': {
      const only = decision.sets.length === 1 && !decision.unbound ? decision.sets[0]?.sources : undefined;
      const source = only?.length === 1 ? only[0] : undefined;
      if (source !== undefined && source.kind !== 'array' && source.kind !== 'parameterArray') {
        const placed = placeSource(source, tools.placement, literals, parameters);
        if (placed >= 0) return oneOf(tools, placed);
        if (placed === NULL_KEY) return oneOf(tools, 0);
        return several(decision, undefined, literals, parameters, tools);
      }
      tools.shards.clear();
      let known = !decision.unbound;
      for (const keys of decision.sets) {
        if (known && !gather(keys, tools.shards, tools.placement, literals, parameters)) known = false;
      }
      if (!known) return several(decision, undefined, literals, parameters, tools);
      if (tools.shards.count === 0) return oneOf(tools, 0);
      if (tools.shards.count === 1) return oneOf(tools, tools.shards.first);
      return several(decision, tools.shards, literals, parameters, tools);
    }
    case 'rows':
      return routeRows(decision, text, literals, parameters, tools);
  }
}

function oneOf(tools: RouteTools, shard: number): Route {
  return tools.one[shard] ?? { kind: 'one', shard };
}

function several(
  decision: Extract<Decision, { kind: 'keyed' }>,
  shards: ShardSet | undefined,
  literals: Literals | undefined,
  parameters: BoundParameters | undefined,
  tools: RouteTools,
): Route {
  if (tools.topology.shards.length === 1) return oneOf(tools, 0);
  if (decision.spread !== undefined) return { kind: 'refused', error: decision.spread };
  const refused = decision.clock === undefined ? undefined : clockRefusal(decision.clock, literals, parameters);
  if (refused !== undefined) return refused;
  if (shards === undefined || shards.count === tools.topology.shards.length) return ALL;
  return { kind: 'some', shards: shards.ascending() };
}

function routeRows(
  decision: Extract<Decision, { kind: 'rows' }>,
  text: string,
  literals: Literals | undefined,
  parameters: BoundParameters | undefined,
  tools: RouteTools,
): Route {
  const { shards, placement } = tools;
  shards.clear();
  const placedRows: number[] = [];
  for (const source of decision.rows) {
    if (source.kind === 'array' || source.kind === 'parameterArray') return unreadableKey(decision.table);
    const placed = placeSource(source, placement, literals, parameters);
    if (placed < 0) return badKey(placed, decision.table);
    placedRows.push(placed);
    shards.add(placed);
  }
  let known = !decision.unbound;
  for (const keys of decision.sets) if (known && !gather(keys, shards, placement, literals, parameters)) known = false;
  if (known && shards.count === 1) return oneOf(tools, shards.first);
  if (decision.spread !== undefined) return { kind: 'refused', error: decision.spread };
  if (!known || decision.sets.length > 0)
    return refuse(`tables read by the INSERT into ${decision.table} are on other shards`);
  const refused = decision.clock === undefined ? undefined : clockRefusal(decision.clock, literals, parameters);
  if (refused !== undefined) return refused;
  const parts = splitRows(text, placedRows, shards.ascending(), decision.hasParameters ? parameters : undefined);
  if (parts !== undefined) return { kind: 'split', parts };
  return refuse(
    `the rows of this INSERT into ${decision.table} belong to different shards and cannot be told apart with certainty`,
    decision.hasParameters
      ? 'Give each row parameters of its own, or declare their types; or insert one row at a time (in one transaction they stay atomic).'
      : 'Insert them one row at a time.',
  );
}

function badKey(placed: number, table: string): Route {
  if (placed === NULL_KEY) return nullKey(table);
  if (placed === UNSTABLE) {
    return refuse(
      `the shard key of a row for ${table} ends in blanks, which a varchar(n) column may cut off`,
      'Trim the value, or make the column text and list it as type: text.',
    );
  }
  return placed === UNREADABLE ? unreadableKey(table) : refuse(`the shard key of a row for ${table} has no shard`);
}

export function nullKey(table: string): Route {
  return refuseWith(
    '23502',
    `the shard key of a row for ${table} is NULL, so the row has no shard`,
    'Give the key a value.',
  );
}

function unreadableKey(table: string): Route {
  return refuse(
    `the shard key of a row for ${table} cannot be read with certainty`,
    'Give it as a plain literal or as a parameter of the type of the column.',
  );
}

export function clockWatch(tables: readonly string[]): ClockWatch {
  return {
    error: featureError(
      `a value written on several shards spells a moment of the server's clock (${tables.join(', ')})`,
      'Every shard has its own clock: send the time itself as a parameter.',
    ),
  };
}

const CLOCK_WORD = /\b(?:now|today|tomorrow|yesterday)\b/i;
const CLOCK_CHARACTERS_MAX = 80;

/** Would a date or timestamp column read this text as the current time? Errs on the side of yes. */
export function spellsClock(text: string): boolean {
  return text.length <= CLOCK_CHARACTERS_MAX && CLOCK_WORD.test(text);
}

function clockRefusal(
  watch: ClockWatch,
  literals: Literals | undefined,
  parameters: BoundParameters | undefined,
): Route | undefined {
  for (const hole of literals?.holes ?? []) {
    if (hole.kind !== 'string' || literals === undefined) continue;
    if (spellsClock(literals.text.slice(hole.start + 1, hole.end - 1))) return { kind: 'refused', error: watch.error };
  }
  for (let index = 0; index < (parameters?.count ?? 0); index += 1) {
    const bytes = parameters?.bytes(index) ?? null;
    // Only the text form can spell it; text columns in binary are the same bytes, so they are looked at too.
    if (bytes === null || bytes.length > CLOCK_CHARACTERS_MAX) continue;
    if (spellsClock(bytes.toString('latin1'))) return { kind: 'refused', error: watch.error };
  }
  return undefined;
}
