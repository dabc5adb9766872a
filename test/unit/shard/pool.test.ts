// Pool: first come first served, bounded, clean connections only, and a dead shard told at once.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { InvariantError } from '../../../src/kernel/assert.ts';
import { query } from '../../../src/protocol/client-message-writer.ts';
import * as write from '../../../src/protocol/server-message.ts';
import type { ServerConnection } from '../../../src/shard/connection.ts';
import { Lease, LeaseRefused } from '../../../src/shard/lease.ts';
import { Pool, type PoolOptions, type Taken } from '../../../src/shard/pool.ts';
import { FakeServer, fatal, reply } from './fake-server.ts';
import { ManualClock, settle } from './manual-clock.ts';
import { RecordingSink } from './recording-sink.ts';

let server: FakeServer;
let clock: ManualClock;
const pools: Pool[] = [];

beforeEach(async () => {
  server = await FakeServer.start();
  clock = new ManualClock();
});
afterEach(async () => {
  const closing = pools.splice(0).map((pool) => pool.close());
  await server[Symbol.asyncDispose]();
  await Promise.all(closing);
});

function makePool(options: Partial<PoolOptions> = {}): Pool {
  const pool = new Pool(server.target, {
    sizeMax: 2,
    queueMax: 10,
    queueWaitMs: 1_000,
    idleMs: 60_000,
    lifetimeMs: 600_000,
    connectTimeoutMs: 5_000,
    clock,
    random: () => 0.5,
    ...options,
  });
  pools.push(pool);
  return pool;
}

async function leased(taking: Promise<Taken>): Promise<ServerConnection> {
  const taken = await taking;
  if (taken.kind === 'refused') throw new Error(taken.error.message);
  return taken.connection;
}

async function refusal(taking: Promise<Taken>) {
  const taken = await taking;
  if (taken.kind === 'leased') throw new Error('leased');
  return taken.error;
}

/** Follows the order in which promises settle. */
function watch(taking: Promise<Taken>, name: string, order: string[]): Promise<Taken> {
  void taking.then((taken) => order.push(`${name}:${taken.kind}`));
  return taking;
}

describe('leasing', () => {
  it('has nothing at once while it is empty, and the same connection again after it was given back', async () => {
    const pool = makePool();
    expect(pool.tryTake()).toBeUndefined();
    const connection = await leased(pool.take());
    expect(pool.tryTake()).toBeUndefined();
    pool.give(connection);
    expect(pool.tryTake()).toBe(connection);
    expect(server.backends).toHaveLength(1);
  });

  it('opens no more than its size and serves who waits in the order of asking', async () => {
    const pool = makePool({ sizeMax: 2 });
    const order: string[] = [];
    const taking = ['a', 'b', 'c', 'd'].map((name) => watch(pool.take(), name, order));
    const [a, b] = await Promise.all(taking.slice(0, 2).map(leased));
    if (!a || !b) throw new Error('two leases expected');
    await settle();
    expect(server.backends).toHaveLength(2);
    expect(pool.stats()).toMatchObject({ leased: 2, waiting: 2, idle: 0, opening: 0 });
    pool.give(b);
    // What was given back belongs to who waits; nobody can take it on the way.
    expect(pool.tryTake()).toBeUndefined();
    pool.give(a);
    await Promise.all(taking);
    expect(order).toEqual(['a:leased', 'b:leased', 'c:leased', 'd:leased']);
    expect(server.backends).toHaveLength(2);
  });

  it('refuses who waited too long, in order, with one timer for all', async () => {
    const pool = makePool({ sizeMax: 1, queueWaitMs: 1_000 });
    const held = await leased(pool.take());
    const order: string[] = [];
    const early = watch(pool.take(), 'early', order);
    await clock.advance(600);
    const late = watch(pool.take(), 'late', order);
    expect(clock.sleeping).toBe(1);
    await clock.advance(400);
    expect(order).toEqual(['early:refused']);
    expect(await refusal(early)).toMatchObject({
      code: '53300',
      message: `no connection to shard "shard-1" (127.0.0.1:${server.target.port}) became free within 1000 ms`,
    });
    pool.give(held);
    await leased(late);
    expect(pool.stats()).toMatchObject({ waitTimeouts: 1, waiting: 0 });
  });

  it('refuses when the queue is full', async () => {
    const pool = makePool({ sizeMax: 1, queueMax: 1 });
    const held = await leased(pool.take());
    const waiting = pool.take();
    const error = await refusal(pool.take());
    expect(error.code).toBe('53300');
    expect(error.detail).toContain('1 of 1 connections are in use, 1 requests are waiting');
    pool.give(held);
    await leased(waiting);
  });

  it('notices a connection given back twice, which would give it to two clients', async () => {
    const pool = makePool();
    const connection = await leased(pool.take());
    pool.give(connection);
    expect(() => pool.give(connection)).toThrow(InvariantError);
  });

  it('goes back by itself at the end of a block', async () => {
    const pool = makePool({ sizeMax: 1, queueMax: 0 });
    await expect(Lease.take(pool)).rejects.toThrow(LeaseRefused);
    const wide = makePool({ sizeMax: 1 });
    {
      await using lease = await Lease.take(wide);
      expect(lease.connection.closed).toBe(false);
      expect(wide.stats().leased).toBe(1);
    }
    expect(wide.stats()).toMatchObject({ leased: 0, idle: 1 });
  });
});

describe('only clean connections come back', () => {
  it.each([
    ['inside a transaction', write.READY_TRANSACTION],
    ['in a failed transaction', write.READY_FAILED],
  ])('one %s is closed', async (_, ready) => {
    const pool = makePool();
    const connection = await leased(pool.take());
    server.onQuery = ({ socket }) => void socket.write(reply('BEGIN', ready));
    await connection.command('BEGIN');
    pool.give(connection);
    expect(connection.closed).toBe(true);
    expect(pool.stats()).toMatchObject({ idle: 0, leased: 0 });
  });

  it('one with work under way is closed, and its unit is lost', async () => {
    const pool = makePool();
    const connection = await leased(pool.take());
    server.onQuery = () => undefined;
    const sink = new RecordingSink();
    connection.send(query('long'), sink);
    pool.give(connection);
    expect(sink.heard).toEqual(['lost destroyed']);
    expect(pool.stats()).toMatchObject({ idle: 0, leased: 0 });
  });

  it('one with a cancel request under way waits for its end', async () => {
    const pool = makePool();
    const connection = await leased(pool.take());
    const cancelling = connection.cancel();
    pool.give(connection);
    expect(pool.tryTake()).toBeUndefined();
    await cancelling;
    await settle();
    expect(pool.tryTake()).toBe(connection);
  });

  it('one whose cancel request got lost is closed', async () => {
    const pool = makePool();
    const connection = await leased(pool.take());
    server.holdCancels = true;
    void connection.cancel();
    pool.give(connection);
    await settle();
    await clock.advance(5_000);
    expect(connection.closed).toBe(true);
    expect(pool.stats()).toMatchObject({ idle: 0, leased: 0 });
  });

  it('one that the server closed while idle is not given out, and costs no place', async () => {
    const pool = makePool({ sizeMax: 1 });
    const connection = await leased(pool.take());
    pool.give(connection);
    server.backend.socket.end(fatal('57P01', 'bye'));
    await settle();
    expect(pool.tryTake()).toBeUndefined();
    expect(await leased(pool.take())).not.toBe(connection);
  });

  it('one that died while leased makes room for who waits, and giving it back is harmless', async () => {
    const pool = makePool({ sizeMax: 1 });
    const connection = await leased(pool.take());
    const waiting = pool.take();
    connection.destroy('test');
    const other = await leased(waiting);
    pool.give(connection);
    expect(pool.stats()).toMatchObject({ leased: 1, idle: 0 });
    pool.give(other);
  });

  it('listeners of the last session do not hear the next one', async () => {
    const pool = makePool();
    const connection = await leased(pool.take());
    connection.onUnsolicited = () => undefined;
    connection.onDrain = () => undefined;
    pool.give(connection);
    expect([connection.onUnsolicited, connection.onDrain]).toEqual([undefined, undefined]);
  });
});

describe('age', () => {
  it('an idle connection is closed after its time', async () => {
    const pool = makePool({ idleMs: 10_000 });
    const connection = await leased(pool.take());
    pool.give(connection);
    await clock.advance(9_000);
    expect(connection.closed).toBe(false);
    await clock.advance(6_000);
    expect(connection.closed).toBe(true);
    expect(pool.stats().idle).toBe(0);
  });

  it('no connection is reused beyond its lifetime', async () => {
    const pool = makePool({ lifetimeMs: 100_000, idleMs: 1_000_000 });
    const connection = await leased(pool.take());
    await clock.advance(89_000);
    pool.give(connection);
    expect(pool.tryTake()).toBe(connection);
    // random() = 0.5: 90 % of the lifetime.
    await clock.advance(2_000);
    pool.give(connection);
    expect(connection.closed).toBe(true);
    expect(await leased(pool.take())).not.toBe(connection);
  });

  it('after a failover, connections to the former primary are not used, and the former primary is refused', async () => {
    const pool = makePool();
    const [old, second] = [await leased(pool.take()), await leased(pool.take())];
    pool.give(old);
    server.facts.timeline = '00000002';
    second.destroy('the primary died');
    const held = await leased(pool.take());
    expect(held).toBe(old);
    const promoted = await leased(pool.take());
    expect(promoted.identity.timeline).toBe(2);
    pool.give(held);
    expect(old.closed).toBe(true);
    server.facts.timeline = '00000001';
    promoted.destroy('lost');
    expect((await refusal(pool.take())).message).toContain('timeline 1, but timeline 2 has been seen');
  });
});

describe('a shard in trouble', () => {
  it('is told to everybody who waits, with its name, address and cause', async () => {
    server.greeting = fatal('57P03', 'the database system is starting up');
    const pool = makePool();
    const errors = await Promise.all([pool.take(), pool.take(), pool.take()].map(refusal));
    for (const error of errors) {
      expect(error.code).toBe('57P03');
      expect(error.message).toBe(
        `cannot connect to shard "shard-1" at 127.0.0.1:${server.target.port}: the database system is starting up`,
      );
    }
  });

  it('is not asked again before its time, which grows, and is asked by one connection then', async () => {
    server.greeting = fatal('57P03', 'starting up');
    let connects = 0;
    const pool = makePool({
      sizeMax: 5,
      backoffMinMs: 100,
      backoffMaxMs: 1_000,
      connect: async (target, options) => {
        connects += 1;
        const { ServerConnection: real } = await import('../../../src/shard/connection.ts');
        return real.connect(target, options);
      },
    });
    await refusal(pool.take());
    expect(connects).toBe(1);
    for (let i = 0; i < 10; i += 1) expect((await refusal(pool.take())).code).toBe('57P03');
    expect(connects).toBe(1);
    // random() = 0.5: 75 % of 100 ms, then of 200 ms.
    await clock.advance(75);
    await Promise.all([pool.take(), pool.take(), pool.take()].map(refusal));
    expect(connects).toBe(2);
    await clock.advance(100);
    await refusal(pool.take());
    expect(connects).toBe(2);
    server.greeting = undefined;
    await clock.advance(50);
    const [one, two] = await Promise.all([leased(pool.take()), leased(pool.take())]);
    expect(pool.stats().lastFailure).toBeUndefined();
    pool.give(one);
    pool.give(two);
  });

  it('whose other connections live keeps its waiters and tries again for them', async () => {
    const pool = makePool({ sizeMax: 2, queueWaitMs: 10_000 });
    const held = await leased(pool.take());
    server.greeting = fatal('53300', 'sorry, too many clients already');
    const waiting = pool.take();
    while (pool.stats().connectFailures === 0) await settle();
    expect(pool.stats()).toMatchObject({ waiting: 1, connectFailures: 1 });
    server.greeting = undefined;
    await clock.advance(100);
    const second = await leased(waiting);
    expect(second).not.toBe(held);
  });

  it('says in the refusal of a waiter why no second connection could be made', async () => {
    const pool = makePool({ sizeMax: 2, queueWaitMs: 50, backoffMinMs: 1_000 });
    await leased(pool.take());
    server.greeting = fatal('53300', 'sorry, too many clients already');
    const waiting = pool.take();
    while (pool.stats().connectFailures === 0) await settle();
    await clock.advance(50);
    expect((await refusal(waiting)).detail).toContain('sorry, too many clients already');
  });

  it('that never answers costs its waiters their wait and nobody else', async () => {
    server.held = [];
    const pool = makePool({ queueWaitMs: 300, connectTimeoutMs: 5_000 });
    const waiting = pool.take();
    await settle();
    await clock.advance(300);
    expect(await refusal(waiting)).toMatchObject({ code: '08001', detail: 'The server has not answered yet.' });
    expect(pool.stats()).toMatchObject({ waiting: 0, opening: 1 });
    await clock.advance(5_000);
    expect(pool.stats()).toMatchObject({ opening: 0, connectFailures: 1 });
  });
});

describe('ending', () => {
  it('drain leases nothing more and waits for what is out', async () => {
    const pool = makePool();
    const out = await leased(pool.take());
    const order: string[] = [];
    const drained = pool.drain().then(() => order.push('drained'));
    expect(pool.tryTake()).toBeUndefined();
    expect((await refusal(pool.take())).code).toBe('57P01');
    await settle();
    expect(order).toEqual([]);
    expect(out.closed).toBe(false);
    pool.give(out);
    await drained;
    expect(out.closed).toBe(true);
    expect(clock.sleeping).toBe(0);
  });

  it('close ends waiters, idle and leased connections', async () => {
    const pool = makePool({ sizeMax: 1 });
    const out = await leased(pool.take());
    const waiting = pool.take();
    await pool.close();
    expect((await refusal(waiting)).code).toBe('57P01');
    expect(out.closed).toBe(true);
    pool.give(out);
  });

  it('close while a connection is being made leaves none behind', async () => {
    server.held = [];
    const pool = makePool();
    const waiting = pool.take();
    await settle();
    const closing = pool.close();
    expect((await refusal(waiting)).code).toBe('57P01');
    for (const go of server.held) go();
    await closing;
    await settle();
    expect(server.backend.socket.destroyed || server.backend.socket.readableEnded).toBe(true);
    expect(pool.stats()).toMatchObject({ opening: 0, idle: 0, leased: 0 });
  });
});
