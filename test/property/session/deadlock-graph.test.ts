// findVictims against a slow and plain reading of its promise, on small random graphs.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findVictims, type WaitEdge } from '../../../src/session/deadlock-graph.ts';

type Edge = WaitEdge<number>;

const VERTICES = 6;
const vertex = fc.nat({ max: VERTICES - 1 });
const edge = fc.record({ waiter: vertex, blocker: vertex, shard: fc.constantFrom('a', 'b', 'c') });
const graph = fc.record({
  edges: fc.array(
    edge.filter(({ waiter, blocker }) => waiter !== blocker),
    { maxLength: 12 },
  ),
  // Some may be cancelled, each with an order of its own.
  cancellable: fc
    .shuffledSubarray(Array.from({ length: VERTICES }, (_, v) => v))
    .map((chosen) => new Map(chosen.map((v, order) => [v, order]))),
});

/** Who reaches whom without passing through `who` on the way. */
function reachAround(edges: readonly Edge[], who: number): boolean[][] {
  const all = Array.from({ length: VERTICES }, (_, v) => v);
  const reach = all.map((from) =>
    all.map((to) => from === to || edges.some(({ waiter, blocker }) => waiter === from && blocker === to)),
  );
  for (const via of all) {
    if (via === who) continue;
    for (const from of all) {
      for (const to of all) {
        const row = reach[from];
        if (row !== undefined && row[via] === true && reach[via]?.[to] === true) row[to] = true;
      }
    }
  }
  return reach;
}

/** Two edges on different shards that stand one behind the other on a way from `who` to `who`. */
function onCycle(edges: readonly Edge[], who: number): boolean {
  const reach = reachAround(edges, who);
  const out = (v: number) => v === who;
  return edges.some((first) =>
    edges.some(
      (second) =>
        first.shard !== second.shard &&
        !out(first.blocker) &&
        !out(second.waiter) &&
        reach[who]?.[first.waiter] === true &&
        reach[first.blocker]?.[second.waiter] === true &&
        reach[second.blocker]?.[who] === true,
    ),
  );
}

function slowVictims(edges: readonly Edge[], cancellable: ReadonlyMap<number, number>): number[] {
  const victims: number[] = [];
  let left = edges;
  for (;;) {
    const candidates = [...cancellable.keys()].filter((who) => onCycle(left, who));
    if (candidates.length === 0) return victims;
    const youngest = candidates.reduce((one, other) =>
      (cancellable.get(one) ?? 0) > (cancellable.get(other) ?? 0) ? one : other,
    );
    victims.push(youngest);
    left = left.filter(({ waiter, blocker }) => waiter !== youngest && blocker !== youngest);
  }
}

/** The shards of every simple cycle, with its vertices. */
function simpleCycles(edges: readonly Edge[]): { vertices: number[]; shards: Set<string> }[] {
  const found: { vertices: number[]; shards: Set<string> }[] = [];
  const walk = (path: number[], shards: string[]): void => {
    for (const { waiter, blocker, shard } of edges) {
      if (waiter !== path.at(-1)) continue;
      if (blocker === path[0]) found.push({ vertices: path, shards: new Set([...shards, shard]) });
      else if (blocker > (path[0] ?? 0) && !path.includes(blocker)) walk([...path, blocker], [...shards, shard]);
    }
  };
  for (let start = 0; start < VERTICES; start++) walk([start], []);
  return found;
}

describe('findVictims', () => {
  it('chooses as the slow one does, whatever the order of the edges', () => {
    fc.assert(
      fc.property(graph, fc.func(fc.nat()), ({ edges, cancellable }, key) => {
        const expected = slowVictims(edges, cancellable);
        expect(findVictims({ edges, cancellable }).map(({ who }) => who)).toEqual(expected);
        const shuffled = edges.toSorted((one, other) => key(one) - key(other));
        expect(findVictims({ edges: shuffled, cancellable }).map(({ who }) => who)).toEqual(expected);
      }),
      { numRuns: 3_000 },
    );
  });

  it('leaves no cycle over several shards of which somebody could have been cancelled', () => {
    fc.assert(
      fc.property(graph, ({ edges, cancellable }) => {
        const gone = new Set(findVictims({ edges, cancellable }).map(({ who }) => who));
        const left = edges.filter(({ waiter, blocker }) => !gone.has(waiter) && !gone.has(blocker));
        const open = simpleCycles(left).filter(({ shards }) => shards.size > 1);
        expect(open.filter(({ vertices }) => vertices.some((v) => cancellable.has(v)))).toEqual([]);
      }),
      { numRuns: 3_000 },
    );
  });

  it('shows for each victim a way of waits from it back to it over two shards or more', () => {
    fc.assert(
      fc.property(graph, ({ edges, cancellable }) => {
        for (const { who, cycle } of findVictims({ edges, cancellable })) {
          expect(cancellable.has(who)).toBe(true);
          expect(cycle[0]?.waiter).toBe(who);
          expect(cycle.at(-1)?.blocker).toBe(who);
          expect(cycle.every((each, n) => edges.includes(each) && (cycle[n + 1]?.waiter ?? who) === each.blocker)).toBe(
            true,
          );
          expect(new Set(cycle.map(({ shard }) => shard)).size).toBeGreaterThan(1);
        }
      }),
      { numRuns: 3_000 },
    );
  });
});
