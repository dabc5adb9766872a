// A shard in memory with PostgreSQL's rules for prepared transactions: for recovery tests that need thousands of crashes.
import { sqlError } from '../../src/protocol/sql-error.ts';
import type { Answer, Fenced, PreparedRow, ShardProbe, ShardScan, XidStatus } from '../../src/recovery/shard-probe.ts';
import type { CommandReply } from '../../src/shard/branch-link.ts';

export type BranchLife = 'working' | 'prepared' | 'committed' | 'aborted';

export interface PretendBranch {
  readonly gid: string;
  readonly xid: string;
  life: BranchLife;
  readonly preparedAtMs: number;
}

/** Called before and after each statement takes effect; a throw there is the end of the process that asked. */
export type Step = (what: string) => void | Promise<void>;

/** What the server is; probes are views of it, one per process that looks. */
export class PretendShard {
  readonly name: string;
  readonly branches = new Map<string, PretendBranch>();
  /** Rows that are not ours. */
  readonly foreign: PreparedRow[] = [];
  down = false;
  standby = false;
  systemIdentifier = '7001';
  timeline = 1;
  /** Replies to these many next resolves are lost, after the effect. */
  repliesToLose = 0;
  /** These many next resolves find the gid busy. */
  busy = 0;
  resolves = 0;
  /** The order in which questions arrived, over all probes. */
  readonly asked: string[] = [];
  nowMs = 10_000_000;
  livingSinceMs = 1_000;
  recoveredNextXid: string | null = null;
  unended = 0;

  constructor(name: string) {
    this.name = name;
  }

  add(gid: string, xid: string, life: BranchLife): void {
    this.branches.set(gid, { gid, xid, life, preparedAtMs: this.nowMs - 1_000 });
  }

  lifeOf(gid: string): BranchLife | undefined {
    return this.branches.get(gid)?.life;
  }

  probe(step: Step = () => undefined): ShardProbe {
    return new PretendProbe(this, step);
  }
}

class PretendProbe implements ShardProbe {
  readonly shard: string;
  readonly #server: PretendShard;
  readonly #step: Step;

  constructor(server: PretendShard, step: Step) {
    this.shard = server.name;
    this.#server = server;
    this.#step = step;
  }

  fence(_cluster: string, _instance: string, _beforeEpoch: number): Promise<Answer<Fenced>> {
    return this.#answer('fence', () => {
      const working = [...this.#server.branches.values()].filter(({ life }) => life === 'working');
      if (this.#server.unended > 0) return { terminated: 0, remaining: this.#server.unended };
      for (const branch of working) branch.life = 'aborted';
      return { terminated: working.length, remaining: 0 };
    });
  }

  scan(): Promise<Answer<ShardScan>> {
    const { systemIdentifier, timeline, livingSinceMs, recoveredNextXid, nowMs, foreign, branches } = this.#server;
    return this.#answer('scan', () => ({
      systemIdentifier,
      timeline,
      livingSinceMs,
      recoveredNextXid,
      nowMs,
      prepared: [...foreign, ...[...branches.values()].filter(({ life }) => life === 'prepared')],
    }));
  }

  xidStatus(xid: string): Promise<Answer<XidStatus>> {
    return this.#answer(`status ${xid}`, () => {
      const life = [...this.#server.branches.values()].find((branch) => branch.xid === xid)?.life;
      if (life === undefined) return 'future';
      return life === 'prepared' || life === 'working' ? 'in progress' : life;
    });
  }

  timelineEnd(): Promise<Answer<string | null>> {
    return this.#answer('timeline', () => null);
  }

  terminateXid(xid: string): Promise<Answer<Fenced>> {
    return this.#end(`terminate ${xid}`, (branch) => branch.xid === xid);
  }

  terminateBackend(): Promise<Answer<Fenced>> {
    return this.#end('terminate backend', () => true);
  }

  async resolve(gid: string, verdict: 'commit' | 'abort'): Promise<CommandReply> {
    const server = this.#server;
    await this.#before(`${verdict} ${gid}`);
    if (server.down) return { kind: 'lost', lost: { reason: 'socket', message: 'down' } };
    server.resolves += 1;
    const branch = server.branches.get(gid);
    if (branch?.life !== 'prepared') return { kind: 'error', error: sqlError('42704', 'does not exist') };
    if (server.busy > 0) {
      server.busy -= 1;
      return { kind: 'error', error: sqlError('55000', `prepared transaction with identifier "${gid}" is busy`) };
    }
    branch.life = verdict === 'commit' ? 'committed' : 'aborted';
    await this.#step(`after ${verdict}`);
    if (server.repliesToLose > 0) {
      server.repliesToLose -= 1;
      return { kind: 'lost', lost: { reason: 'socket', message: 'reset' } };
    }
    return {
      kind: 'complete',
      tag: verdict === 'commit' ? 'COMMIT PREPARED' : 'ROLLBACK PREPARED',
      notices: [],
      rows: [],
    };
  }

  async close(): Promise<void> {}

  #end(what: string, matches: (branch: PretendBranch) => boolean): Promise<Answer<Fenced>> {
    return this.#answer(what, () => {
      if (this.#server.unended > 0) return { terminated: 0, remaining: this.#server.unended };
      const ending = [...this.#server.branches.values()].filter(
        (branch) => branch.life === 'working' && matches(branch),
      );
      for (const branch of ending) branch.life = 'aborted';
      return { terminated: ending.length, remaining: 0 };
    });
  }

  async #answer<T>(what: string, value: () => T): Promise<Answer<T>> {
    await this.#before(what);
    if (this.#server.down) return { kind: 'absent', cause: 'unreachable', why: 'down' };
    if (this.#server.standby) return { kind: 'absent', cause: 'standby', why: 'a standby' };
    return { kind: 'answer', value: value() };
  }

  async #before(what: string): Promise<void> {
    this.#server.asked.push(what);
    await this.#step(`${this.shard} ${what}`);
  }
}
