// Whom to cancel: only on circles over several shards, only who may be, the youngest first.
import { describe, expect, it } from 'vitest';
import { findVictims, type WaitEdge } from '../../../src/session/deadlock-graph.ts';

/** `'1>2@a 2>1@b'`: 1 waits for 2 on shard a, and 2 for 1 on shard b. */
function edgesOf(text: string): WaitEdge<string>[] {
  return [...text.matchAll(/(\w+)>(\w+)@(\w+)/g)].map(([, waiter = '', blocker = '', shard = '']) => ({
    waiter,
    blocker,
    shard,
  }));
}

/** Everybody with a number for a name may be cancelled and began in that order. */
function victimsOf(text: string, spared: readonly string[] = []): string[] {
  const edges = edgesOf(text);
  const names = new Set(edges.flatMap(({ waiter, blocker }) => [waiter, blocker]));
  const cancellable = new Map(
    [...names].filter((name) => /^\d+$/.test(name) && !spared.includes(name)).map((name) => [name, Number(name)]),
  );
  return findVictims({ edges, cancellable }).map(
    ({ who, cycle }) =>
      `${who}: ${cycle.map(({ waiter, blocker, shard }) => `${waiter}>${blocker}@${shard}`).join(' ')}`,
  );
}

describe('victims of deadlocks', () => {
  it('nobody, when nobody waits', () => {
    expect(victimsOf('')).toEqual([]);
  });

  it('nobody, when everybody waits for somebody who goes on', () => {
    expect(victimsOf('2>1@a 3>2@b 4>2@a 4>3@b')).toEqual([]);
  });

  it('the youngest of two that wait for each other on two shards', () => {
    expect(victimsOf('1>2@a 2>1@b')).toEqual(['2: 2>1@b 1>2@a']);
    expect(victimsOf('10>9@a 9>10@b')).toEqual(['10: 10>9@a 9>10@b']);
  });

  it('the youngest of three in a ring', () => {
    expect(victimsOf('1>3@a 3>2@b 2>1@c')).toEqual(['3: 3>2@b 2>1@c 1>3@a']);
  });

  it('nobody, when the circle lies on one shard: its server breaks it', () => {
    expect(victimsOf('1>2@a 2>1@a')).toEqual([]);
  });

  it('nobody, when two circles on one shard each meet in one transaction', () => {
    expect(victimsOf('3>1@a 1>3@a 3>2@b 2>3@b', ['1', '2'])).toEqual([]);
  });

  it('a transaction that commits is spared, the next youngest pays', () => {
    expect(victimsOf('1>2@a 2>3@b 3>1@b', ['3'])).toEqual(['2: 2>3@b 3>1@b 1>2@a']);
  });

  it('nobody, when all of a circle are committing', () => {
    expect(victimsOf('1>2@a 2>1@b', ['1', '2'])).toEqual([]);
  });

  it('a circle through a backend that is not ours is found, and one of ours pays', () => {
    expect(victimsOf('1>x@a x>2@a 2>1@b')).toEqual(['2: 2>1@b 1>x@a x>2@a']);
  });

  it('each of two separate circles loses one', () => {
    expect(victimsOf('1>2@a 2>1@b 3>4@a 4>3@b')).toEqual(['4: 4>3@b 3>4@a', '2: 2>1@b 1>2@a']);
  });

  it('one victim for two circles that share the youngest', () => {
    expect(victimsOf('1>9@a 9>1@b 2>9@a 9>2@b')).toHaveLength(1);
  });

  it('who only waits behind a circle, or is only waited for by it, is left alone', () => {
    expect(victimsOf('9>1@a 1>2@a 2>1@b 2>8@b')).toEqual(['2: 2>1@b 1>2@a']);
  });

  it('a queue of ten thousand behind one lock costs neither the stack nor the time', () => {
    const queue = Array.from({ length: 10_000 }, (_, n) => `${n + 2}>${n + 1}@a`).join(' ');
    expect(victimsOf(queue)).toEqual([]);
    expect(victimsOf(`${queue} 1>10001@b`)[0]).toMatch(/^10001: /);
  });
});
