import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { classifyPrepare } from '../../../src/transaction/classify-reply.ts';
import { transactionKey } from '../../../src/transaction/gid.ts';
import { type Shards, startShards } from '../../support/postgres.ts';
import { CommitRig, type OpenBranch } from './commit-rig.ts';

let shards: Shards;
beforeAll(async () => {
  shards = await startShards(3, { maxPreparedTransactions: 4 });
  await shards.exec('CREATE TABLE item (id bigint PRIMARY KEY, other bigint UNIQUE DEFERRABLE INITIALLY DEFERRED)');
  await shards.exec(`CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_sleep(0.3); RAISE WARNING 'slow, but done'; RETURN NULL; END $$`);
  await shards.exec('CREATE TABLE slow (id bigint PRIMARY KEY)');
  await shards.exec(`CREATE CONSTRAINT TRIGGER slow_at_the_end AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION slowly()`);
});
afterAll(() => shards?.[Symbol.asyncDispose]());

let id = 0;
beforeEach(() => {
  id += 100;
});
const insert = (other = id) => `INSERT INTO item VALUES (${id}, ${other})`;

/** On which shards the row is. */
async function present(table = 'item'): Promise<boolean[]> {
  const count = (i: number) => shards.query<{ n: string }>(i, `SELECT count(*) AS n FROM ${table} WHERE id = ${id}`);
  const rows = await Promise.all(shards.shards.map((_, i) => count(i)));
  return rows.map(([row]) => row?.n === '1');
}

async function writers(rig: CommitRig, ...indexes: readonly number[]): Promise<OpenBranch[]> {
  return Promise.all(indexes.map((i) => rig.join(i, insert())));
}

describe('commit on real shards', () => {
  it('two writers on a subset of three shards commit whole, with one logged decision (PgDog 2)', async () => {
    await using rig = await CommitRig.open(shards);
    const outcome = await rig.commit(...(await writers(rig, 2, 0)));
    expect(outcome).toMatchObject({ kind: 'committed', unfinished: 0 });
    expect(await present()).toEqual([true, false, true]);
    expect(await rig.prepared()).toEqual([[], [], []]);
    if (outcome.kind !== 'committed' || outcome.transaction === undefined) throw new Error('no decision');
    const key = transactionKey(outcome.transaction);
    expect((await rig.log.lookup(new Set([key]))).get(key)).toMatchObject({ kind: 'commit', ended: true });
    expect(rig.log.liveCount).toBe(0);
  });

  it('three writers, again and again on the same connections', async () => {
    await using rig = await CommitRig.open(shards);
    const branches = await writers(rig, 0, 1, 2);
    expect(await rig.commit(...branches)).toMatchObject({ kind: 'committed' });
    for (let round = 1; round <= 20; round++) {
      id += 1;
      for (const { link } of branches) {
        void link.command('BEGIN');
        await link.command(insert());
      }
      expect(await rig.commit(...branches)).toMatchObject({ kind: 'committed', unfinished: 0 });
      expect(await present()).toEqual([true, true, true]);
    }
    expect(branches.every(({ link }) => link.reusable)).toBe(true);
  });

  it('PgDog 15: one writer among readers creates no prepared transaction and no record (I16)', async () => {
    await using rig = await CommitRig.open(shards);
    const before = rig.log.positions.appended;
    const reader = await rig.join(1, 'SELECT * FROM item');
    expect(await rig.commit(await rig.join(0, insert()), reader)).toMatchObject({ kind: 'committed' });
    expect(rig.log.positions.appended).toBe(before);
    expect(await present()).toEqual([true, false, false]);
  });

  it('a rollback leaves nothing', async () => {
    await using rig = await CommitRig.open(shards);
    const branches = await writers(rig, 0, 1);
    await rig.coordinator.rollback(await Promise.all(branches.map((each) => each.branch())));
    expect(await present()).toEqual([false, false, false]);
    expect(branches.every(({ link }) => link.reusable)).toBe(true);
  });
});

describe('a shard that votes no', () => {
  it('PgDog 16: a deferred constraint that fails at PREPARE gives its own error, and every connection stays usable', async () => {
    await shards.query(1, `INSERT INTO item VALUES (${id + 1}, ${id})`);
    await using rig = await CommitRig.open(shards);
    const branches = await writers(rig, 0, 1, 2);
    const outcome = await rig.commit(...branches);
    expect(outcome).toMatchObject({ kind: 'aborted', error: { code: '23505', other: { n: 'item_other_key' } } });
    expect(await present()).toEqual([false, false, false]);
    expect(await rig.prepared()).toEqual([[], [], []]);
    expect(branches.every(({ link }) => link.reusable)).toBe(true);
    expect(rig.handedOver).toEqual([]);
  });

  it('a transaction that has failed on one shard is rolled back on all, and every connection stays usable', async () => {
    await using rig = await CommitRig.open(shards);
    const failed = await rig.join(1, insert());
    const branch = await failed.branch();
    await failed.link.command('SELECT fails');
    const outcome = await rig.coordinator.commit([await (await rig.join(0, insert())).branch(), branch]);
    expect(outcome).toMatchObject({ kind: 'aborted', error: { code: '40000' } });
    expect(await present()).toEqual([false, false, false]);
    expect(failed.link.reusable).toBe(true);
  });

  it('PgDog 14: a server answers PREPARE of a failed transaction with the tag ROLLBACK, and that is a no', async () => {
    await using rig = await CommitRig.open(shards);
    const { link } = await rig.join(1, insert());
    await link.command('SELECT fails');
    const vote = classifyPrepare('shard-1', await link.command("PREPARE TRANSACTION 'never'"));
    expect(vote).toMatchObject({ kind: 'no', prepared: false });
  });

  it('what PREPARE refuses (a temporary table) is told in its own words', async () => {
    await using rig = await CommitRig.open(shards);
    const temporary = await rig.join(1, 'CREATE TEMPORARY TABLE scratch (x int) ON COMMIT DROP', insert());
    const outcome = await rig.commit(await rig.join(0, insert()), temporary);
    expect(outcome).toMatchObject({ kind: 'aborted', error: { code: '0A000' } });
    expect(await present()).toEqual([false, false, false]);
  });

  it('a shard without a free place for prepared transactions says so, and nothing stays behind', async () => {
    await shards.pool(1).query('SELECT 1');
    const names = [1, 2, 3, 4].map((n) => `_somebody_elses_${id}_${n}`);
    for (const name of names)
      await shards.query(1, `BEGIN; SELECT pg_current_xact_id(); PREPARE TRANSACTION '${name}'`);
    await using rig = await CommitRig.open(shards);
    expect(await rig.commit(...(await writers(rig, 0, 1)))).toMatchObject({
      kind: 'aborted',
      error: { code: '53200' },
    });
    expect(await present()).toEqual([false, false, false]);
    for (const name of names) await shards.query(1, `ROLLBACK PREPARED '${name}'`);
  });

  it('a backend that is terminated before PREPARE aborts the transaction everywhere, and the client is told so for certain', async () => {
    await using rig = await CommitRig.open(shards);
    const [first, second] = await writers(rig, 0, 1);
    if (first === undefined || second === undefined) throw new Error('two branches');
    const branches = [await first.branch(), await second.branch()];
    await shards.query(1, 'SELECT pg_terminate_backend($1, 5000)', [second.link.identity.backendPid]);
    expect(await rig.coordinator.commit(branches)).toMatchObject({ kind: 'aborted', error: { code: '40000' } });
    await rig.resolveAll();
    expect(await present()).toEqual([false, false, false]);
    expect(rig.coordinator.driving().size).toBe(0);
  });
});

describe('time', () => {
  it('a statement_timeout of the session does not cut PREPARE short, and warnings of a trigger are passed on, not feared', async () => {
    await using rig = await CommitRig.open(shards);
    const slow = (i: number) => rig.join(i, "SET LOCAL statement_timeout = '100ms'", `INSERT INTO slow VALUES (${id})`);
    const outcome = await rig.commit(await slow(0), await slow(1));
    expect(outcome).toMatchObject({
      kind: 'committed',
      notices: [{ message: 'slow, but done' }, { severity: 'WARNING' }],
    });
    expect(await present('slow')).toEqual([true, true, false]);
  });

  it('a PREPARE whose wait for a synchronous standby is cancelled is a no, and what it left is rolled back', async () => {
    await using rig = await CommitRig.open(shards);
    const branches = await Promise.all((await writers(rig, 0, 1)).map((each) => each.branch()));
    await requireStandby();
    const outcome = rig.coordinator.commit(branches);
    await cancelWaitForStandby();
    expect(await outcome).toMatchObject({ kind: 'aborted', error: { code: '40000' } });
    await rig.resolveAll();
    expect(await present()).toEqual([false, false, false]);
    expect(await rig.prepared()).toEqual([[], [], []]);
  });

  it('a COMMIT PREPARED whose wait for a synchronous standby is cancelled is verified, and never undone', async () => {
    await using rig = await CommitRig.open(shards);
    const branches = await Promise.all((await writers(rig, 0, 1)).map((each) => each.branch()));
    rig.controlPoint = (name, participant) =>
      name === 'commit.before' && participant === 1 ? requireStandby() : undefined;
    const outcome = rig.coordinator.commit(branches);
    await cancelWaitForStandby();
    expect(await outcome).toMatchObject({ kind: 'committed', unfinished: 1 });
    expect(rig.handedOver).toHaveLength(1);
    expect(await present()).toEqual([true, true, false]);
  });

  /** From now on commits on shard 1 wait for a standby that does not exist. */
  async function requireStandby(): Promise<void> {
    await shards.query(1, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    await shards.query(1, 'SELECT pg_reload_conf()');
    // The setting is in force when a commit hangs by it.
    await until(async () => {
      const probe = await shards.client(1, { application_name: 'test-probe' });
      void probe
        .query("SET statement_timeout = '2s'; SELECT pg_logical_emit_message(true, 'probe', '')")
        .finally(() => void probe.end());
      await new Promise((resolve) => setTimeout(resolve, 20));
      return (await waiting('test-probe')).length > 0;
    });
  }

  /** Cancels our own commit's wait, and then lets everybody go. */
  async function cancelWaitForStandby(): Promise<void> {
    await until(async () => (await waiting('as1:%')).length > 0);
    const [pid] = await waiting('as1:%');
    await shards.query(1, 'SELECT pg_cancel_backend($1)', [pid]);
    await until(async () => {
      const text =
        "SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'SyncRep' AND query NOT LIKE 'ROLLBACK%'";
      return (await shards.query(1, text, [pid])).length === 0;
    });
    await shards.query(1, 'ALTER SYSTEM RESET synchronous_standby_names');
    await shards.query(1, 'SELECT pg_reload_conf()');
  }

  async function until(condition: () => Promise<boolean>): Promise<void> {
    for (let attempt = 0; attempt < 300; attempt++) if (await condition()) return;
    throw new Error(`never came true: ${condition}`);
  }

  async function waiting(application: string): Promise<number[]> {
    const text = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name LIKE $1";
    return (await shards.query<{ pid: number }>(1, text, [application])).map((row) => row.pid);
  }
});

describe('a lost reply', () => {
  it('to the one writer’s COMMIT is looked up: committed', async () => {
    await using rig = await CommitRig.open(shards);
    const writer = await rig.join(0, insert());
    const branch = await writer.branch();
    // The reply is lost behind the command: the server has it, the proxy's socket is gone.
    const deaf = { ...branch, link: deafAfter(writer.link, async () => (await present())[0] === true) };
    expect(await rig.coordinator.commit([deaf])).toMatchObject({ kind: 'committed' });
    expect(await present()).toEqual([true, false, false]);
  });

  it('to the one writer’s COMMIT is looked up: aborted, when its backend was terminated first', async () => {
    await using rig = await CommitRig.open(shards);
    const writer = await rig.join(0, insert());
    const branch = await writer.branch();
    await shards.query(0, 'SELECT pg_terminate_backend($1, 5000)', [writer.link.identity.backendPid]);
    expect(await rig.coordinator.commit([branch])).toMatchObject({ kind: 'aborted', error: { code: '40000' } });
    expect(await present()).toEqual([false, false, false]);
  });

  it('a shard that is killed after the decision is finished when it is back, and the client was told success', async () => {
    await using rig = await CommitRig.open(shards);
    const branches = await Promise.all((await writers(rig, 0, 1, 2)).map((each) => each.branch()));
    rig.controlPoint = (name, participant) =>
      name === 'commit.before' && participant === 2 ? shards.shard(2).kill9() : undefined;
    const outcome = await rig.coordinator.commit(branches);
    rig.controlPoint = () => undefined;
    expect(outcome).toMatchObject({ kind: 'committed', unfinished: 1 });
    expect(rig.log.liveCount).toBe(1);
    await shards.shard(2).restart();
    expect((await rig.prepared())[2]).toHaveLength(1);
    await rig.resolveAll();
    expect(await present()).toEqual([true, true, true]);
    expect(rig.log.liveCount).toBe(0);
  });

  /** A link that sends COMMIT, waits until it took effect, and then loses the reply. */
  function deafAfter(link: OpenBranch['link'], tookEffect: () => Promise<boolean>): OpenBranch['link'] {
    const lost = { kind: 'lost', lost: { reason: 'socket', message: 'read ECONNRESET' } } as const;
    return new Proxy(link, {
      get(target, property) {
        if (property !== 'command') return Reflect.get(target, property, target);
        return async (sql: string) => {
          void target.command(sql);
          for (let attempt = 0; attempt < 300 && !(await tookEffect()); attempt++);
          target.destroy('lost on purpose');
          return lost;
        };
      },
    });
  }
});
