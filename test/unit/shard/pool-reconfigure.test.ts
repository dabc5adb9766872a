// A pool whose target or limits change while it is in use: nobody is refused, nothing of the former target is used again.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ServerConnection } from '../../../src/shard/connection.ts';
import { Pool, type PoolOptions, type Taken } from '../../../src/shard/pool.ts';
import { FakeServer } from './fake-server.ts';
import { ManualClock, settle } from './manual-clock.ts';

let former: FakeServer;
let later: FakeServer;
let pool: Pool;

const options: PoolOptions = {
  sizeMax: 2,
  queueMax: 10,
  queueWaitMs: 1_000,
  idleMs: 60_000,
  lifetimeMs: 600_000,
  connectTimeoutMs: 5_000,
  clock: new ManualClock(),
  random: () => 0.5,
};

beforeEach(async () => {
  former = await FakeServer.start();
  later = await FakeServer.start();
  pool = new Pool(former.target, options);
});
afterEach(async () => {
  const closing = pool.close();
  await former[Symbol.asyncDispose]();
  await later[Symbol.asyncDispose]();
  await closing;
});

async function leased(taking: Promise<Taken>): Promise<ServerConnection> {
  const taken = await taking;
  if (taken.kind === 'refused') throw new Error(taken.error.message);
  return taken.connection;
}

describe('another target', () => {
  it('idle connections go at once, leased ones when they come back, and new ones are made to the new target', async () => {
    const [idle, busy] = await Promise.all([leased(pool.take()), leased(pool.take())]);
    pool.give(idle);
    pool.reconfigure(later.target, options);
    await settle();
    expect([idle.closed, busy.closed]).toEqual([true, false]);
    const fresh = await leased(pool.take());
    expect(fresh.target.port).toBe(later.target.port);
    pool.give(busy);
    await settle();
    expect(busy.closed).toBe(true);
    pool.give(fresh);
    expect(pool.tryTake()).toBe(fresh);
    expect(pool.target.port).toBe(later.target.port);
  });

  it('who waits is served by the new target', async () => {
    const held = [await leased(pool.take()), await leased(pool.take())];
    const waiting = pool.take();
    pool.reconfigure(later.target, options);
    for (const connection of held) pool.give(connection);
    expect((await leased(waiting)).target.port).toBe(later.target.port);
  });

  it('a connection that was being made to the former target is not handed out', async () => {
    const waiting = pool.take();
    pool.reconfigure(later.target, options);
    const connection = await leased(waiting);
    expect(connection.target.port).toBe(later.target.port);
    expect(pool.stats()).toMatchObject({ leased: 1, idle: 0, waiting: 0 });
  });

  it('a former target that is down is forgotten with its failure', async () => {
    await former[Symbol.asyncDispose]();
    expect((await pool.take()).kind).toBe('refused');
    expect(pool.reachable).toBe(false);
    pool.reconfigure(later.target, options);
    expect(pool.reachable).toBe(true);
    expect((await leased(pool.take())).target.port).toBe(later.target.port);
  });

  it('the same target keeps its connections', async () => {
    const connection = await leased(pool.take());
    pool.reconfigure({ ...former.target }, options);
    pool.give(connection);
    expect(pool.tryTake()).toBe(connection);
  });
});

describe('another size', () => {
  it('a smaller pool closes idle connections first and leased ones as they come back', async () => {
    const [one, two] = await Promise.all([leased(pool.take()), leased(pool.take())]);
    pool.reconfigure(former.target, { ...options, sizeMax: 1 });
    pool.give(one);
    await settle();
    expect([one.closed, two.closed]).toEqual([true, false]);
    pool.give(two);
    expect(pool.stats()).toMatchObject({ idle: 1, sizeMax: 1 });
  });

  it('a larger pool serves who waits at once', async () => {
    await Promise.all([leased(pool.take()), leased(pool.take())]);
    const waiting = pool.take();
    pool.reconfigure(former.target, { ...options, sizeMax: 3 });
    await leased(waiting);
    expect(former.backends).toHaveLength(3);
  });
});
