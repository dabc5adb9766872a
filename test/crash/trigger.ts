// The armed control point of a test proxy: kills or freezes its own process there, in whichever thread gets there.
import { setTimeout as sleep } from 'node:timers/promises';
import type { ControlPointName } from '../../src/kernel/control-point.ts';

export interface Armed {
  readonly point: ControlPointName;
  /** Only for this participant, where the point has one. */
  readonly participant?: number;
  /** How often to pass before acting. */
  readonly skip: number;
  /** SIGCONT does nothing to a process that runs: it only holds the place. */
  readonly signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT';
  /** Holds this one place for so long before acting, while everything else goes on: that is how halves come about. */
  readonly holdMs?: number;
}

/** Between the main thread, which takes orders, and the log's thread, where the points around fsync are. */
export const CHANNEL = 'atomshard-control-points';

/** The kernel delivers this before the call returns: not one instruction of ours runs after it. */
function act(signal: Armed['signal']): void {
  process.kill(process.pid, signal);
}

export class Trigger {
  readonly #onReached: (armed: Armed) => void;
  #armed: Armed | undefined;
  #passed = 0;

  /** `onReached` runs before anything is done or held. */
  constructor(onReached: (armed: Armed) => void = () => undefined) {
    this.#onReached = onReached;
  }

  arm(order: Armed): void {
    this.#armed = order;
    this.#passed = 0;
  }

  /** Nothing is returned, so nothing waits, except at the armed place when it is held. */
  reached(name: ControlPointName, participant?: number): void | Promise<void> {
    const armed = this.#armed;
    if (armed === undefined || name !== armed.point) return;
    if (armed.participant !== undefined && participant !== armed.participant) return;
    if (this.#passed++ < armed.skip) return;
    this.#armed = undefined;
    this.#onReached(armed);
    if (armed.holdMs !== undefined) return sleep(armed.holdMs).then(() => act(armed.signal));
    act(armed.signal);
  }
}
