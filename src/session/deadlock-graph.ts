// Who waits for whom over all shards, and whom to cancel so that nobody waits for ever. Pure.
//
//   shard-0:  T1 ──waits for──▶ T2          each server sees one half, and neither half is a cycle
//   shard-1:  T2 ──waits for──▶ T1
//
// The rule: only a cycle over two shards or more is ours to break (a server finds those of its own), and the youngest
// transaction on it pays, because it has the least to do again.

/** One wait on one shard. A waiter goes on when everybody it waits for has ended. */
export interface WaitEdge<V> {
  readonly waiter: V;
  readonly blocker: V;
  /** Logical shard name. */
  readonly shard: string;
}

export interface WaitGraph<V, E extends WaitEdge<V> = WaitEdge<V>> {
  readonly edges: readonly E[];
  /** Who may be cancelled, in the order in which they began: of two, the one with the higher number is younger. */
  readonly cancellable: ReadonlyMap<V, number>;
}

export interface Victim<V, E extends WaitEdge<V> = WaitEdge<V>> {
  readonly who: V;
  /** A shortest way from the victim back to itself that touches two shards or more. */
  readonly cycle: readonly E[];
}

/**
 * Whom to cancel so that no cycle over several shards is left which could be broken: again and again the youngest that is
 * on one. Cycles of which nobody is cancellable stay. The same graph gives the same answer.
 */
export function findVictims<V, E extends WaitEdge<V>>({ edges, cancellable }: WaitGraph<V, E>): Victim<V, E>[] {
  const victims: Victim<V, E>[] = [];
  let left = stuck(edges);
  if (left.length === 0) return victims;
  // One walk from young to old is enough: to remove edges puts nobody on a cycle who was on none.
  for (const [who] of [...cancellable].toSorted(([, one], [, other]) => other - one)) {
    const cycle = cycleThrough(who, left);
    if (cycle === undefined) continue;
    victims.push({ who, cycle });
    left = stuck(left.filter(({ waiter, blocker }) => waiter !== who && blocker !== who));
  }
  return victims;
}

/** Only edges on cycles or between two cycles: mostly none, so that the search above has nothing to do. */
function stuck<V, E extends WaitEdge<V>>(edges: readonly E[]): E[] {
  const endless = without(
    edges,
    ({ waiter }) => waiter,
    ({ blocker }) => blocker,
  );
  return without(
    endless,
    ({ blocker }) => blocker,
    ({ waiter }) => waiter,
  );
}

/** Drops all edges of those who have no edge out, then of those who had edges to these only, and so on. Linear. */
function without<V, E extends WaitEdge<V>>(edges: readonly E[], tail: (edge: E) => V, head: (edge: E) => V): E[] {
  const degrees = new Map<V, number>();
  const into = new Map<V, V[]>();
  for (const edge of edges) {
    degrees.set(tail(edge), (degrees.get(tail(edge)) ?? 0) + 1);
    const tails = into.get(head(edge));
    if (tails === undefined) into.set(head(edge), [tail(edge)]);
    else tails.push(tail(edge));
  }
  const free = [...into.keys()].filter((vertex) => !degrees.has(vertex));
  for (const vertex of free) {
    for (const before of into.get(vertex) ?? []) {
      const degree = (degrees.get(before) ?? 0) - 1;
      degrees.set(before, degree);
      if (degree === 0) free.push(before);
    }
  }
  const stays = (vertex: V) => (degrees.get(vertex) ?? 0) > 0;
  return edges.filter((edge) => stays(tail(edge)) && stays(head(edge)));
}

/** How the search got somewhere; `shard` is where all edges so far are, null when they are on several. */
interface Step<V, E extends WaitEdge<V>> {
  readonly edge: E;
  readonly shard: string | null;
  readonly before: Step<V, E> | undefined;
}

/** Breadth first over (vertex, the one shard so far or several): the first that returns over several is a shortest one. */
function cycleThrough<V, E extends WaitEdge<V>>(who: V, edges: readonly E[]): E[] | undefined {
  const waits = Map.groupBy(edges, ({ waiter }) => waiter);
  const seen = new Map<V, Set<string | null>>();
  const steps: Step<V, E>[] = [];
  const go = (edge: E, before: Step<V, E> | undefined): void => {
    const shard = before === undefined || before.shard === edge.shard ? edge.shard : null;
    const ways = seen.get(edge.blocker) ?? new Set();
    if (ways.has(shard)) return;
    seen.set(edge.blocker, ways.add(shard));
    steps.push({ edge, shard, before });
  };
  for (const edge of waits.get(who) ?? []) go(edge, undefined);
  for (const step of steps) {
    if (step.edge.blocker === who) {
      if (step.shard === null) return pathOf(step);
      // Two circles on one shard each that meet in `who` are not one over both.
      continue;
    }
    for (const edge of waits.get(step.edge.blocker) ?? []) go(edge, step);
  }
  return undefined;
}

function pathOf<V, E extends WaitEdge<V>>(last: Step<V, E>): E[] {
  const path: E[] = [];
  for (let step: Step<V, E> | undefined = last; step !== undefined; step = step.before) path.unshift(step.edge);
  return path;
}
