// A coordinator on real shards: server connections that joined a transaction, a decision log in a directory of its own,
// and a resolver simple enough to be believed at sight (recovery's own is tested elsewhere).
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { systemClock } from '../../../src/kernel/clock.ts';
import { type ControlPoint, noControlPoint } from '../../../src/kernel/control-point.ts';
import { ServerConnection } from '../../../src/shard/connection.ts';
import { type Branch, Coordinator, type CoordinatorDeps } from '../../../src/transaction/coordinator.ts';
import { DecisionLog } from '../../../src/transaction/decision-log.ts';
import { gidPrefix, renderOwnerName } from '../../../src/transaction/gid.ts';
import type { Resolver, Unfinished, UnfinishedParticipant } from '../../../src/transaction/resolver.ts';
import { openWal } from '../../../src/wal/wal.ts';
import type { Shards } from '../../support/postgres.ts';

export interface OpenBranch {
  readonly link: ServerConnection;
  /** As a session would hand it over: with the xid asked behind the last statement. */
  branch(): Promise<Branch>;
}

export class CommitRig implements AsyncDisposable {
  readonly shards: Shards;
  readonly directory: string;
  readonly log: DecisionLog;
  readonly coordinator: Coordinator;
  readonly handedOver: { unfinished: Unfinished; done: (participant: UnfinishedParticipant) => void }[] = [];
  readonly #connections: ServerConnection[] = [];
  /** Set by a test to stop the coordinator at a place. */
  controlPoint: ControlPoint = noControlPoint;

  private constructor(shards: Shards, directory: string, log: DecisionLog, deps: Partial<CoordinatorDeps>) {
    this.shards = shards;
    this.directory = directory;
    this.log = log;
    this.coordinator = new Coordinator({
      cluster: 'k3x9q',
      instance: 'proxy-0',
      log,
      resolver: this.#resolver(),
      clock: systemClock,
      controlPoint: (name, participant) => this.controlPoint(name, participant),
      commitWaitMs: 500,
      ...deps,
    });
  }

  static async open(shards: Shards, deps: Partial<CoordinatorDeps> = {}): Promise<CommitRig> {
    const directory = mkdtempSync(path.join(os.tmpdir(), 'atomshard-commit-'));
    const wal = { directory, segmentBytes: 1 << 20, reserveBytes: 1 << 16 };
    const log = await DecisionLog.open({ openWal: (onRecord) => openWal(wal, onRecord), clock: systemClock });
    return new CommitRig(shards, directory, log, deps);
  }

  /** Joins shard `index`: connects, begins, runs `statements`. */
  async join(index: number, ...statements: readonly string[]): Promise<OpenBranch> {
    const { port, user } = this.shards.shard(index);
    const target = {
      shard: `shard-${index}`,
      host: '127.0.0.1',
      port,
      database: 'postgres',
      user,
      applicationName: renderOwnerName('k3x9q', 'proxy-0', this.log.identity.epoch),
    };
    const link = await ServerConnection.connect(target, { clock: systemClock, connectTimeoutMs: 5_000 });
    this.#connections.push(link);
    for (const sql of ['BEGIN', ...statements]) {
      const reply = await link.command(sql);
      if (reply.kind !== 'complete' && !sql.includes('fails')) throw new Error(`${sql}: ${JSON.stringify(reply)}`);
    }
    return {
      link,
      branch: async () => {
        const reply = await link.command('SELECT pg_current_xact_id_if_assigned()');
        return { link, written: true, xid: reply.kind === 'complete' ? reply.rows[0]?.[0] : undefined };
      },
    };
  }

  async commit(...branches: readonly OpenBranch[]): ReturnType<Coordinator['commit']> {
    return this.coordinator.commit(await Promise.all(branches.map((each) => each.branch())));
  }

  /** Gids of ours that stand prepared, by shard. */
  async prepared(): Promise<string[][]> {
    const text = `SELECT gid FROM pg_prepared_xacts WHERE starts_with(gid, '${gidPrefix('k3x9q')}') ORDER BY gid`;
    const rows = await Promise.all(this.shards.shards.map((_, i) => this.shards.query<{ gid: string }>(i, text)));
    return rows.map((each) => each.map((row) => row.gid));
  }

  /** Finishes what was handed over, like recovery: terminate the backend, then by gid. */
  async resolveAll(): Promise<void> {
    for (const { unfinished, done } of this.handedOver.splice(0)) {
      for (const participant of unfinished.participants) {
        const index = Number(participant.shard.slice('shard-'.length));
        await this.shards.query(index, 'SELECT pg_terminate_backend($1, 5000)', [participant.identity?.backendPid]);
        const found = (await this.prepared())[index]?.includes(participant.gid);
        const verb = unfinished.decision === 'commit' ? 'COMMIT' : 'ROLLBACK';
        if (found) await this.shards.query(index, `${verb} PREPARED '${participant.gid}'`);
        done(participant);
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.coordinator.drain();
    for (const connection of this.#connections) connection.destroy('the test is over');
    await this.log.close();
    rmSync(this.directory, { recursive: true, force: true });
  }

  #resolver(): Resolver {
    return {
      handOver: (unfinished, done) => {
        this.handedOver.push({ unfinished, done });
      },
      outcomeOf: async ({ shard, xid, identity }) => {
        const index = Number(shard.slice('shard-'.length));
        await this.shards.query(index, 'SELECT pg_terminate_backend($1, 5000)', [identity.backendPid]);
        const [row] = await this.shards.query<{ status: string | null }>(index, 'SELECT pg_xact_status($1) AS status', [
          xid,
        ]);
        if (row?.status === 'committed' || row?.status === 'aborted') return row.status;
        return 'unknown';
      },
    };
  }
}
