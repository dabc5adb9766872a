// The load's Job from outside: started, asked for a reckoning, ended.
import { waitFor } from '../../cluster/harness/kubectl.ts';
import { OUTBOX_FILES } from '../load/files.ts';
import type { Reckoning, ReckonOrder } from '../load/reckoning.ts';
import { PODS } from './kube.ts';
import { LOAD_JOB, LOAD_LABELS, type LoadJob, loadCommand, loadObjects, OUTBOX_FOLDER } from './load-job.ts';
import type { System } from './system.ts';

const START_TIMEOUT_MS = 240_000;
const PAUSE_TIMEOUT_MS = 60_000;
/** Issue 6: nothing of ours prepared within 60 s of health. */
const DRAIN_TIMEOUT_MS = 60_000;

export interface LoadState {
  readonly state: 'running' | 'paused' | 'ended';
  readonly acknowledged: number;
  readonly refused: number;
  readonly unknown: number;
}

export class Load {
  readonly #system: System;
  #hangs = 0;

  constructor(system: System) {
    this.#system = system;
  }

  /** Applies the Job and waits until transfers run. */
  async start(job: LoadJob): Promise<void> {
    await this.#system.kubectl.apply(loadObjects(job));
    await waitFor('the load to run', START_TIMEOUT_MS, async () => {
      const state = await this.state();
      return state?.state === 'running' ? true : undefined;
    });
  }

  /** The load's pod, which is another one after a node was lost. */
  async pod(): Promise<string> {
    const { items } = await this.#system.kube.list(PODS, {
      namespace: this.#system.namespace,
      labelSelector: `app=${LOAD_LABELS.app}`,
    });
    const living = items.find(({ status, metadata }) => {
      return metadata.deletionTimestamp === undefined && (status?.phase === 'Running' || status?.phase === 'Pending');
    });
    if (living === undefined) throw new Error(`no pod of Job ${LOAD_JOB} lives`);
    return living.metadata.name;
  }

  /** What the load last said of itself; it says so when it starts, pauses and ends. */
  async state(): Promise<LoadState | undefined> {
    const file = `${OUTBOX_FOLDER}/${OUTBOX_FILES.state}`;
    const { code, stdout } = await this.#system.exec(await this.pod(), 'observer', ['cat', file]);
    return code === 0 ? (JSON.parse(stdout) as LoadState) : undefined;
  }

  /** Pauses the load, waits until nothing of ours is prepared, and judges; `hangs` are those since the last time. The load goes on unless `resume` is false. */
  async reckon(faults: ReckonOrder['faults'], resume = true): Promise<Reckoning> {
    const order: ReckonOrder = {
      folder: OUTBOX_FOLDER,
      pauseTimeoutMs: PAUSE_TIMEOUT_MS,
      drainTimeoutMs: DRAIN_TIMEOUT_MS,
      resume,
      faults,
    };
    const command = loadCommand('reckon', JSON.stringify(order));
    const reckoning = JSON.parse(await this.#system.execOk(await this.pod(), 'observer', command)) as Reckoning;
    const before = this.#hangs;
    this.#hangs = reckoning.hangs;
    return { ...reckoning, hangs: Math.max(0, reckoning.hangs - before) };
  }

  /** Ends the load for good. */
  async end(): Promise<void> {
    await this.#system.execOk(await this.pod(), 'observer', ['touch', `${OUTBOX_FOLDER}/${OUTBOX_FILES.ended}`]);
  }
}
