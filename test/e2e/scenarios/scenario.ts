// What a scenario is: something that is broken on purpose while the load runs, and what must be true of it afterwards.
import type { Cluster } from '../../cluster/harness/cluster.ts';
import type { Random } from '../../support/random.ts';
import type { Load } from '../harness/load.ts';
import type { System } from '../harness/system.ts';
import type { Reckoning } from '../load/reckoning.ts';

/** operator: a ShardedCluster that an operator made · nodes: a cluster whose nodes and API server may be broken. */
export type Need = 'operator' | 'nodes';

export interface Ground {
  readonly cluster: Cluster;
  readonly system: System;
  readonly load: Load;
  readonly random: Random;
  readonly say: (text: string) => void;
  /** What must be mended even when the run is interrupted. */
  readonly closing: AsyncDisposableStack;
}

/** Something that was broken. */
export interface Fault {
  readonly what: string;
  readonly atMs: number;
  /** How many processes, pods, nodes or volumes it took away. */
  readonly kills: number;
  /** Proxies whose runs ended with it. */
  readonly instances: readonly string[];
  /** How many transactions nobody could prove, so that a person ended them; no status counts those. */
  readonly byHand?: number;
  /** Which of the numbers at the end it is one of. */
  readonly measures?: Measure;
}

/** proxy-death: one proxy dies once, and another lives · volume-lost: its log is gone with it. */
export type Measure = 'proxy-death' | 'volume-lost';

export interface Scenario {
  /** For `--scenario`, e.g. `proxy-force-delete`. */
  readonly name: string;
  /** Scenarios of one kind stand in for each other in a short run. */
  readonly kind: string;
  /** In words, for people. */
  readonly title: string;
  /** How many kills it makes at least, for planning a run. */
  readonly kills: number;
  readonly needs: readonly Need[];
  /** It stops a transaction where it is prepared, so at least one must be found in doubt. */
  readonly leavesDoubt: boolean;
  readonly healthTimeoutMs?: number;
  /** What the log decided cannot be compared with the shards: it is gone, or damaged. */
  readonly losesLog?: true;
  /** The operator dies between the end of a recovery and the status that tells of it. */
  readonly losesStatus?: true;
  /** Breaks things and mends what does not mend itself. Health is waited for, and rows are judged, by the caller. */
  run(ground: Ground): Promise<readonly Fault[]>;
  /** Says what else is wrong, in words; none when all is as it must be. */
  check?(ground: Ground, reckoning: Reckoning): Promise<readonly string[]>;
}
