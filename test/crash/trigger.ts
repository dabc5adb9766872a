// The armed control point of a test proxy: kills or freezes its own process there, in whichever thread gets there.
import type { ControlPointName } from '../../src/kernel/control-point.ts';

export interface Armed {
  readonly point: ControlPointName;
  /** Only for this participant, where the point has one. */
  readonly participant?: number;
  /** How often to pass before acting. */
  readonly skip: number;
  readonly signal: 'SIGKILL' | 'SIGSTOP';
}

/** Between the main thread, which takes orders, and the log's thread, where the points around fsync are. */
export const CHANNEL = 'atomshard-control-points';

export class Trigger {
  #armed: Armed | undefined;
  #passed = 0;

  arm(order: Armed): void {
    this.#armed = order;
    this.#passed = 0;
  }

  reached(name: ControlPointName, participant?: number): void {
    const armed = this.#armed;
    if (armed === undefined || name !== armed.point) return;
    if (armed.participant !== undefined && participant !== armed.participant) return;
    if (this.#passed++ < armed.skip) return;
    this.#armed = undefined;
    // The kernel delivers this before the call returns: not one instruction of ours runs after it.
    process.kill(process.pid, armed.signal);
  }
}
