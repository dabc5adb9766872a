// Each phase of a two-phase commit has a wait of its own: a slow PREPARE is not measured by what a client waits for COMMIT.
import { describe, expect, it } from 'vitest';
import { BenchOfShards, settled } from './bench-of-shards.ts';

describe('the wait for PREPARE', () => {
  it('is prepareWaitMs, not the shorter commitWaitMs', async () => {
    const bench = new BenchOfShards(2, { commitWaitMs: 100, prepareWaitMs: 1_000 });
    bench.shard(1).breakOn(/PREPARE TRANSACTION/, { kind: 'hang', executed: true });
    let told = false;
    const outcome = bench.coordinator.commit(bench.shards.map((shard) => shard.branch())).finally(() => {
      told = true;
    });
    await bench.clock.advance(800);
    await settled();
    expect(told).toBe(false);
    await bench.clock.advance(700);
    expect(await outcome).toMatchObject({ kind: 'aborted' });
  });
});
