// Ground for recovery tests: real shards and probes, and transactions prepared on them by hand.
import type pg from 'pg';
import { systemClock } from '../../src/kernel/clock.ts';
import { PgShardProbe, type PgShardProbeOptions } from '../../src/recovery/pg-shard-probe.ts';
import { Recovery, type RecoveryDeps } from '../../src/recovery/recovery.ts';
import type { CommitDecision, DecidedParticipant } from '../../src/transaction/decision-record.ts';
import { renderGid, renderOwnerName, type TransactionId, transactionKey } from '../../src/transaction/gid.ts';
import { type Shards, startShards } from './postgres.ts';
import { EPOCH, ToldLog } from './told-log.ts';

export const CLUSTER = 'k3x9q';
export const INSTANCE = 'proxy-0';

/** Parameters of shards on which only a session that asks for it waits for a standby, and then for ever. */
export const SYNCHRONOUS = { synchronous_standby_names: 'nobody', synchronous_commit: 'local' };

export interface Branch extends DecidedParticipant {
  readonly index: number;
}

export interface PrepareOptions {
  /** Default: one epoch before the ground's own. */
  readonly epoch?: number;
  readonly instance?: string;
  readonly cluster?: string;
  readonly earlyAcknowledged?: boolean;
  /** Participants (by position in `on`) that do not get as far as PREPARE: their transactions are rolled back. */
  readonly unprepared?: readonly number[];
}

export interface PreparedByHand {
  readonly transaction: TransactionId;
  readonly key: string;
  readonly branches: readonly Branch[];
  readonly decision: CommitDecision;
}

/** Several shards with a table `t(id text, shard int)`, and everything that a test does to them by hand. */
export class RecoveryGround implements AsyncDisposable {
  readonly shards: Shards;
  readonly log = new ToldLog();
  readonly probes = new Map<string, PgShardProbe>();
  #seq = 0;
  readonly #recoveries: Recovery[] = [];

  private constructor(shards: Shards) {
    this.shards = shards;
  }

  static async start(count: number, parameters: Readonly<Record<string, string>> = {}): Promise<RecoveryGround> {
    const ground = new RecoveryGround(await startShards(count, { parameters }));
    for (const index of ground.shards.shards.keys()) ground.probes.set(`shard-${index}`, ground.probe(index));
    await ground.shards.exec('CREATE TABLE t (id text, shard int)');
    return ground;
  }

  /** A probe of its own; the ground's are in `probes`. */
  probe(index: number, options: Partial<PgShardProbeOptions> = {}): PgShardProbe {
    const { host, port, user } = this.shards.shard(index);
    const ownerName = renderOwnerName(CLUSTER, INSTANCE, EPOCH);
    const target = { shard: `shard-${index}`, host, port, user, database: 'postgres', ownerName };
    return new PgShardProbe({ ...target, clock: systemClock, fenceTimeoutMs: 500, ...options });
  }

  recovery(deps: Partial<RecoveryDeps> = {}): Recovery {
    const driving = () => new Set<string>();
    const { log, probes } = this;
    const all = { cluster: CLUSTER, instance: INSTANCE, log, probes, driving, clock: systemClock, intervalMs: 200 };
    const recovery = new Recovery({ ...all, ...deps });
    this.#recoveries.push(recovery);
    return recovery;
  }

  /** A connection as the proxy's pools open it. */
  client(index: number, epoch = EPOCH - 1, instance = INSTANCE): Promise<pg.Client> {
    return this.shards.client(index, { application_name: renderOwnerName(CLUSTER, instance, epoch) });
  }

  /** Runs one row into `t` on each shard of `on` and prepares it there, as a coordinator would have. */
  async prepare(on: readonly number[], options: PrepareOptions = {}): Promise<PreparedByHand> {
    const { epoch = EPOCH - 1, instance = INSTANCE, cluster = CLUSTER, unprepared = [] } = options;
    this.#seq += 1;
    const transaction = { cluster, instance, epoch, seq: this.#seq };
    const key = transactionKey(transaction);
    const clients = await Promise.all(on.map((shard) => this.client(shard, epoch, instance)));
    const begun = await Promise.all(clients.map((client, at) => begin(client, on[at] ?? 0, key)));
    const participants = begun.map(({ xid, timeline }, at) => ({ shard: `shard-${on[at]}`, xid, timeline }));
    const { earlyAcknowledged = false } = options;
    const branches = begun.map((one, index) => {
      const gid = renderGid({ transaction, index, count: on.length, participants, earlyAcknowledged });
      return { ...one, index, gid, shard: `shard-${on[index]}` };
    });
    for (const { index, gid } of branches) {
      const client = clients[index];
      if (!unprepared.includes(index)) await client?.query(`PREPARE TRANSACTION '${gid}'`);
      await client?.end();
    }
    return { transaction, key, branches, decision: { transaction, participants: branches, atMs: Date.now() } };
  }

  /** Prepares a branch on `shard` and starts its COMMIT PREPARED, which waits for a standby (see SYNCHRONOUS). */
  async prepareWhileWaiting(
    shard: number,
    { transaction }: PreparedByHand,
  ): Promise<{ gid: string; done: Promise<unknown> }> {
    const client = await this.client(shard, EPOCH);
    const { xid, timeline } = await begin(client, shard, transactionKey(transaction));
    const participants = [{ shard: `shard-${shard}`, xid, timeline }];
    const gid = renderGid({ transaction, index: 0, count: 1, participants });
    await client.query(`PREPARE TRANSACTION '${gid}'`);
    await client.query('SET synchronous_commit = on');
    const done = client.query(`COMMIT PREPARED '${gid}'`).finally(() => void client.end());
    const waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    for (let waits = 0; waits < 500; waits += 1) {
      if ((await this.shards.query(shard, waiting)).length > 0) return { gid, done };
      await systemClock.sleep(10);
    }
    throw new Error('COMMIT PREPARED never waited for the standby');
  }

  /** Rows of the transaction on each shard: 1 where it is committed, 0 where not. */
  async rows(prepared: PreparedByHand, on: readonly number[]): Promise<number[]> {
    const count = async (shard: number) => {
      const rows = await this.shards.query(shard, 'SELECT 1 FROM t WHERE id = $1 AND shard = $2', [
        prepared.key,
        shard,
      ]);
      return rows.length;
    };
    return Promise.all(on.map(count));
  }

  /** gids that stand prepared, over all shards. */
  async preparedGids(on: readonly number[] = [...this.shards.shards.keys()]): Promise<string[]> {
    const each = on.map((shard) => this.shards.query<{ gid: string }>(shard, 'SELECT gid FROM pg_prepared_xacts'));
    return (await Promise.all(each)).flat().map(({ gid }) => gid);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#recoveries.map((recovery) => recovery.stop()));
    await Promise.all([...this.probes.values()].map((probe) => probe.close()));
    await this.shards[Symbol.asyncDispose]();
  }
}

/** Starts the branch on one shard: a row written, its xid and server known. */
async function begin(client: pg.Client, shard: number, key: string) {
  await client.query('BEGIN');
  await client.query('INSERT INTO t VALUES ($1, $2)', [key, shard]);
  const { rows } = await client.query<{ xid: string; timeline: string; system: string }>(
    `SELECT pg_current_xact_id()::text AS xid, substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) AS timeline,
            (SELECT system_identifier::text FROM pg_control_system()) AS system`,
  );
  const { xid = '', timeline = '', system = '' } = rows[0] ?? {};
  return { xid, timeline: Number.parseInt(timeline, 16), systemIdentifier: system };
}
