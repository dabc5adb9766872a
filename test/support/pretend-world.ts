// Several pretend shards and one told log, with transactions laid out over them as a crash may have left them.
import { systemClock } from '../../src/kernel/clock.ts';
import { Recovery, type RecoveryDeps } from '../../src/recovery/recovery.ts';
import { renderGid, type TransactionId, transactionKey } from '../../src/transaction/gid.ts';
import { type BranchLife, PretendShard, type Step } from './pretend-shard.ts';
import { EPOCH, ToldLog } from './told-log.ts';

export interface LaidOut {
  readonly transaction: TransactionId;
  readonly key: string;
  readonly branches: readonly { readonly shard: string; readonly gid: string; readonly xid: string }[];
}

export interface LayOutOptions {
  readonly decided?: boolean;
  readonly epoch?: number;
  readonly instance?: string;
  readonly cluster?: string;
  readonly earlyAcknowledged?: boolean;
}

export class PretendWorld {
  readonly shards: readonly PretendShard[];
  readonly log = new ToldLog();
  readonly transactions: LaidOut[] = [];
  #xid = 700;

  constructor(count: number) {
    this.shards = Array.from({ length: count }, (_, index) => new PretendShard(`shard-${index}`));
  }

  shard(index: number): PretendShard {
    const shard = this.shards[index];
    if (shard === undefined) throw new Error(`no shard ${index}`);
    return shard;
  }

  /** A transaction whose branches are as `lives` says, by shard index. */
  layOut(lives: ReadonlyMap<number, BranchLife> | Readonly<Record<number, BranchLife>>, options: LayOutOptions = {}) {
    const { epoch = EPOCH - 1, instance = 'proxy-0', cluster = 'k3x9q', earlyAcknowledged = false } = options;
    const transaction = { cluster, instance, epoch, seq: this.transactions.length + 1 };
    const entries =
      lives instanceof Map ? [...lives] : Object.entries(lives).map(([at, life]) => [Number(at), life] as const);
    const participants = entries.map(([at]) => {
      this.#xid += 1;
      return { shard: `shard-${at}`, xid: String(this.#xid), timeline: 1 };
    });
    const branches = participants.map((participant, index) => {
      const gid = renderGid({ transaction, index, count: participants.length, participants, earlyAcknowledged });
      return { ...participant, gid, systemIdentifier: '7001' };
    });
    for (const [index, [at, life]] of entries.entries()) {
      const { gid = '', xid = '' } = branches[index] ?? {};
      this.shard(at).add(gid, xid, life);
    }
    const laidOut = { transaction, key: transactionKey(transaction), branches };
    if (options.decided === true) this.log.decisions.set(laidOut.key, { transaction, participants: branches, atMs: 1 });
    this.transactions.push(laidOut);
    return laidOut;
  }

  /** What has become of a transaction, one letter per branch: p w c a. */
  lives(laidOut: LaidOut): string {
    const life = (branch: LaidOut['branches'][number]) => {
      const shard = this.shards.find(({ name }) => name === branch.shard);
      return shard?.lifeOf(branch.gid)?.[0] ?? '?';
    };
    return laidOut.branches.map(life).join('');
  }

  recovery(deps: Partial<RecoveryDeps> = {}, step: Step = () => undefined): Recovery {
    return new Recovery({
      cluster: 'k3x9q',
      instance: 'proxy-0',
      log: this.log,
      probes: new Map(this.shards.map((shard) => [shard.name, shard.probe(step)])),
      driving: () => new Set(),
      clock: { ...systemClock, sleep: () => Promise.resolve() },
      intervalMs: 10,
      ...deps,
    });
  }
}
