// A shard's record is written only by the session that holds the lock, and only over the record that was seen: two proxies
// with different lists must never both believe that theirs is in force.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/kernel/clock.ts';
import { PlacementShard, PlacementStopped } from '../../../src/proxy/placement-shard.ts';
import { MARK_SCHEMA } from '../../../src/shard/placement-mark.ts';
import { type Shards, startShards } from '../../support/postgres.ts';

let shards: Shards;
const opened: PlacementShard[] = [];

beforeAll(async () => {
  shards = await startShards(1);
});

beforeEach(() => shards.exec(`DROP SCHEMA IF EXISTS ${MARK_SCHEMA}`));

afterAll(async () => {
  await Promise.all(opened.map((shard) => shard.close()));
  await shards[Symbol.asyncDispose]();
});

function proxy(name: string): PlacementShard {
  const { host, port, name: shard } = shards.shard(0);
  const target = { shard, host, port, database: 'postgres', user: 'postgres', ownerName: `as1:test1:${name}.1` };
  const made = new PlacementShard(target, systemClock);
  opened.push(made);
  return made;
}

describe('the record of a shard', () => {
  it('is not written by who holds no lock, or gave it back', async () => {
    const one = proxy('proxy-0');
    await expect(one.write(null, 'A')).rejects.toThrow(PlacementStopped);
    await one.lock();
    await one.write(null, 'A');
    await one.unlock();
    await expect(one.write('A', 'B')).rejects.toThrow(/changed meanwhile/);
    expect(await one.mark()).toBe('A');
  });

  it('is not written by who lost the connection that had the lock, and so the lock', async () => {
    const one = proxy('proxy-0');
    const other = proxy('proxy-1');
    await one.lock();
    await one.write(null, 'A');
    await shards.query(
      0,
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'as1:test1:proxy-0.1'`,
    );
    await other.lock();
    // The first attempt may only tell that the connection is gone; the next one has another, without the lock.
    for (let attempt = 0; attempt < 2; attempt++) await expect(one.write('A', 'B')).rejects.toThrow(PlacementStopped);
    expect(await other.mark()).toBe('A');
    await other.unlock();
  });

  it('is not written over one that was not seen', async () => {
    const one = proxy('proxy-0');
    await one.lock();
    await one.write(null, 'A');
    await expect(one.write('X', 'B')).rejects.toThrow(/changed meanwhile/);
    expect(await one.mark()).toBe('A');
    await one.unlock();
  });
});
