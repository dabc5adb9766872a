// The load and its judge against one plain PostgreSQL, whose honesty is beyond doubt: the judge must acquit it.
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { describeVerdict, judge } from '../../support/judge.ts';
import { startShards } from '../../support/postgres.ts';
import { openAccounts, TRANSFER_TABLES, TransferLoad } from '../../support/transfer-load.ts';

const ACCOUNTS = Array.from({ length: 40 }, (_, i) => i + 1);
const SEED = 20_261_121;

describe('the transfer load', () => {
  it('acquits one PostgreSQL that is killed twice under load, and has seen every kind of answer', async () => {
    await using shards = await startShards(1);
    await shards.exec(TRANSFER_TABLES);
    const url = shards.shard(0).url();
    await openAccounts(url, ACCOUNTS, 50);
    const load = new TransferLoad({ url, accounts: ACCOUNTS, initialBalance: 50, clients: 8, seed: SEED });
    for (let kill = 0; kill < 2; kill++) {
      load.start();
      await sleep(400);
      await shards.shard(0).kill9();
      await sleep(50);
      await shards.shard(0).start();
      await sleep(400);
      await load.pause();
    }
    await load.stop();
    const verdict = await judge(shards.shards, load.ledger);
    expect(verdict.sound, `seed ${SEED}\n${describeVerdict(verdict)}\n${load.ledger.summary()}`).toBe(true);
    const counts = load.ledger.counts();
    expect(counts.acknowledged).toBeGreaterThan(50);
    expect(counts.refused).toBeGreaterThan(5);
    expect(load.reconnects).toBeGreaterThan(8);
    expect(load.hangs).toBe(0);
  });

  it('convicts when a row is taken away behind the back of everybody', async () => {
    await using shards = await startShards(1);
    await shards.exec(TRANSFER_TABLES);
    const url = shards.shard(0).url();
    await openAccounts(url, ACCOUNTS, 50);
    const load = new TransferLoad({ url, accounts: ACCOUNTS, initialBalance: 50, clients: 2, seed: SEED });
    load.start();
    await sleep(300);
    await load.stop();
    await shards.query(0, 'DELETE FROM transfers WHERE ctid = (SELECT max(ctid) FROM transfers WHERE amount <> 0)');
    const verdict = await judge(shards.shards, load.ledger);
    expect(verdict.sound).toBe(false);
    expect(verdict.acknowledgedMissing).toHaveLength(1);
    expect(verdict.unbalanced).toHaveLength(1);
  });
});
