// What the shards hold prepared, for metrics: the answer is the last look, and a look that is old starts the next one, so
// that nobody who scrapes waits for a shard.
import type { Clock } from '../kernel/clock.ts';
import type { ShardProbe } from '../recovery/shard-probe.ts';
import { parseGid } from '../transaction/gid.ts';

export interface PreparedCounts {
  readonly ours: number;
  readonly otherInstances: number;
  readonly foreign: number;
  readonly oldestSeconds: number;
}

const LOOK_AGAIN_MS = 5_000;

export class PreparedWatch {
  readonly #probes: ReadonlyMap<string, Pick<ShardProbe, 'scan'>>;
  readonly #own: { readonly cluster: string; readonly instance: string };
  readonly #clock: Clock;
  #seen = new Map<string, PreparedCounts>();
  #lookedAtMs = Number.NEGATIVE_INFINITY;

  constructor(
    probes: ReadonlyMap<string, Pick<ShardProbe, 'scan'>>,
    own: { readonly cluster: string; readonly instance: string },
    clock: Clock,
  ) {
    this.#probes = probes;
    this.#own = own;
    this.#clock = clock;
  }

  /** By shard; those that have not answered lately are left out. */
  counts(): ReadonlyMap<string, PreparedCounts> {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#lookedAtMs >= LOOK_AGAIN_MS) {
      this.#lookedAtMs = nowMs;
      for (const [shard, probe] of this.#probes) void this.#look(shard, probe);
    }
    return this.#seen;
  }

  async #look(shard: string, probe: Pick<ShardProbe, 'scan'>): Promise<void> {
    const answer = await probe.scan();
    const seen = new Map(this.#seen);
    seen.delete(shard);
    if (answer.kind === 'answer') {
      const { prepared, nowMs } = answer.value;
      const owners = prepared.map(({ gid }) => this.#ownerOf(gid));
      const count = (owner: string) => owners.filter((one) => one === owner).length;
      const oldestMs = Math.min(nowMs, ...prepared.map(({ preparedAtMs }) => preparedAtMs));
      seen.set(shard, {
        ours: count('ours'),
        otherInstances: count('otherInstances'),
        foreign: count('foreign'),
        oldestSeconds: (nowMs - oldestMs) / 1_000,
      });
    }
    this.#seen = seen;
  }

  #ownerOf(gid: string): keyof PreparedCounts {
    const transaction = parseGid(gid)?.transaction;
    if (transaction?.cluster !== this.#own.cluster) return 'foreign';
    return transaction.instance === this.#own.instance ? 'ours' : 'otherInstances';
  }
}
