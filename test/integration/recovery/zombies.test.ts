// Branches that surface late on real shards: backends of dead runs, PREPAREs queued behind a lock, processes that stand still.
import process from 'node:process';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/kernel/clock.ts';
import { renderGid } from '../../../src/transaction/gid.ts';
import { CLUSTER, INSTANCE, RecoveryGround } from '../../support/recovery-ground.ts';
import { EPOCH } from '../../support/told-log.ts';

let ground: RecoveryGround;
beforeAll(async () => {
  ground = await RecoveryGround.start(2);
  // A deferred trigger that waits for a lock makes PREPARE itself wait.
  await ground.shards.exec(`
    CREATE TABLE gate (); CREATE TABLE slow (id text);
    CREATE FUNCTION wait_for_gate() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN LOCK TABLE gate IN SHARE MODE; RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER slow_prepare AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED
      FOR EACH ROW EXECUTE FUNCTION wait_for_gate()`);
});
afterAll(() => ground[Symbol.asyncDispose]());

let seq = 1_000;

interface Queued {
  readonly transaction: { cluster: string; instance: string; epoch: number; seq: number };
  readonly gids: readonly string[];
  readonly xid: string;
  readonly pid: number;
  readonly backendStart: string;
  readonly zombie: pg.Client;
  readonly openGate: () => Promise<void>;
  readonly ended: Promise<unknown>;
}

/** Branch 0 stands prepared on shard 0; the PREPARE of branch 1 waits on shard 1 behind a lock that the test holds. */
async function queuePrepare(epoch: number): Promise<Queued> {
  seq += 1;
  const transaction = { cluster: CLUSTER, instance: INSTANCE, epoch, seq };
  const holder = await ground.shards.client(1);
  await holder.query('BEGIN; LOCK TABLE gate IN ACCESS EXCLUSIVE MODE');
  const [first, zombie] = await Promise.all([ground.client(0, epoch), ground.client(1, epoch)]);
  await first.query(`BEGIN; INSERT INTO t VALUES ('${seq}', 0)`);
  await zombie.query(`BEGIN; INSERT INTO slow VALUES ('${seq}')`);
  const who =
    'SELECT pg_current_xact_id()::text AS xid, pg_backend_pid() AS pid, backend_start::text AS start FROM pg_stat_activity WHERE pid = pg_backend_pid()';
  const [a, b] = await Promise.all([first.query(who), zombie.query(who)]);
  const participants = [a, b].map(({ rows }, at) => ({ shard: `shard-${at}`, xid: String(rows[0]?.xid), timeline: 1 }));
  const gids = participants.map((_, index) => renderGid({ transaction, index, count: 2, participants }));
  await first.query(`PREPARE TRANSACTION '${gids[0]}'`);
  await first.end();
  const ended = zombie.query(`PREPARE TRANSACTION '${gids[1]}'`).catch((error: unknown) => error);
  const { pid, start } = b.rows[0];
  await until(async () => {
    const waiting = await ground.shards.query(
      1,
      `SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND wait_event_type = 'Lock'`,
      [pid],
    );
    return waiting.length === 1;
  });
  const openGate = async () => {
    await holder.query('COMMIT');
    await holder.end();
  };
  return { transaction, gids, xid: String(b.rows[0]?.xid), pid, backendStart: start, zombie, openGate, ended };
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 500; attempt += 1) {
    if (await condition()) return;
    await systemClock.sleep(10);
  }
  throw new Error('it never came to pass');
}

const alive = async (pid: number) =>
  (await ground.shards.query(1, 'SELECT 1 FROM pg_stat_activity WHERE pid = $1', [pid])).length === 1;

describe('zombies', () => {
  it('Greenplum #10393: a PREPARE of a dead run that waits behind a lock is ended, so nothing surfaces when the lock goes', async () => {
    const queued = await queuePrepare(EPOCH - 1);
    // The process dies, its sockets with it; the backend does not notice while it waits.
    (queued.zombie as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
    await systemClock.sleep(100);
    expect(await alive(queued.pid)).toBe(true);
    const report = await ground.recovery().firstPass();
    expect(await alive(queued.pid)).toBe(false);
    expect(report).toMatchObject({ foundInDoubt: 1, rolledBack: 1, backendsFenced: 1, alarms: [] });
    await queued.openGate();
    await systemClock.sleep(100);
    expect(await ground.preparedGids()).toEqual([]);
    expect(await ground.shards.query(1, 'SELECT 1 FROM slow')).toEqual([]);
  });

  it('a backend that stands still (SIGSTOP) cannot be fenced, which is an alarm; once it runs again nothing of it stays prepared', async () => {
    const queued = await queuePrepare(EPOCH - 1);
    process.kill(queued.pid, 'SIGSTOP');
    const recovery = ground.recovery();
    let first: Awaited<ReturnType<typeof recovery.firstPass>>;
    try {
      first = await recovery.firstPass();
      expect(await alive(queued.pid)).toBe(true);
    } finally {
      await queued.openGate();
      process.kill(queued.pid, 'SIGCONT');
    }
    expect(first.alarms.map(({ kind }) => kind)).toEqual(['FenceFailed']);
    expect(first.rolledBack).toBe(1);
    await until(async () => !(await alive(queued.pid)));
    await recovery.pass();
    expect(await ground.preparedGids()).toEqual([]);
  });

  it('a zombie PREPARE that does surface after the first pass is found by the periodic ones', async () => {
    const recovery = ground.recovery();
    await recovery.firstPass();
    // Its decision never came; the name is known to nobody but the shard.
    const zombie = await ground.prepare([0, 1], { unprepared: [0] });
    expect(await ground.preparedGids()).toHaveLength(1);
    recovery.start();
    await until(async () => (await ground.preparedGids()).length === 0);
    await recovery.stop();
    expect(await ground.rows(zombie, [0, 1])).toEqual([0, 0]);
  });

  it('PgDog 9: an abort that is handed over ends the backend whose PREPARE it would otherwise overtake', async () => {
    const queued = await queuePrepare(EPOCH);
    const [zero, one] = queued.gids;
    const scan = await ground.probe(1).scan();
    const systemIdentifier = scan.kind === 'answer' ? scan.value.systemIdentifier : '';
    const identity = { systemIdentifier, timeline: 1, backendPid: queued.pid, backendStart: queued.backendStart };
    const recovery = ground.recovery();
    const participants = [
      { shard: 'shard-0', gid: zero ?? '' },
      { shard: 'shard-1', gid: one ?? '', xid: queued.xid, identity },
    ];
    const finished: string[] = [];
    recovery.handOver({ transaction: queued.transaction, decision: 'abort', participants }, ({ shard }) =>
      finished.push(shard),
    );
    await recovery.idle();
    expect(finished.toSorted()).toEqual(['shard-0', 'shard-1']);
    expect(await alive(queued.pid)).toBe(false);
    await queued.openGate();
    await systemClock.sleep(100);
    expect(await ground.preparedGids()).toEqual([]);
  });

  it('the fence ends connections of earlier runs of this instance only', async () => {
    const others = await Promise.all([
      ground.client(0, EPOCH),
      ground.client(0, EPOCH + 1),
      ground.client(0, 1, 'proxy-01'),
      ground.client(0, 1, 'proxy'),
      ground.shards.client(0, { application_name: `as1:other:${INSTANCE}.1` }),
      ground.shards.client(0, { application_name: `as1:${CLUSTER}:${INSTANCE}.1 ` }),
      ground.shards.client(0, { application_name: 'psql' }),
    ]);
    const old = await ground.client(0, EPOCH - 1);
    const fenced = await ground.probe(0).fence(CLUSTER, INSTANCE, EPOCH);
    expect(fenced).toEqual({ kind: 'answer', value: { terminated: 1, remaining: 0 } });
    await expect(old.query('SELECT 1')).rejects.toThrow();
    for (const client of others) {
      expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
      await client.end();
    }
  });
});
