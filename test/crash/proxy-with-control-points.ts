// The proxy with a hand on its switch: the same runProxy as in production, and a control point that kills or freezes it there.
//
// Used by tests only. What to do arrives by `--arm JSON` (so that recovery at start can be hit) or over the parent's channel;
// production has neither: src/main.ts passes no control point.
import type { ControlPoint, ControlPointName } from '../../src/kernel/control-point.ts';
import { runProxy } from '../../src/proxy/run.ts';

export interface Armed {
  readonly point: ControlPointName;
  /** Only for this participant, where the point has one. */
  readonly participant?: number;
  /** How often to pass before acting. */
  readonly skip: number;
  readonly signal: 'SIGKILL' | 'SIGSTOP';
}

let armed: Armed | undefined;
let passed = 0;

function arm(order: Armed): void {
  armed = order;
  passed = 0;
}

const controlPoint: ControlPoint = (name, participant) => {
  if (armed === undefined || name !== armed.point) return;
  if (armed.participant !== undefined && participant !== armed.participant) return;
  if (passed++ < armed.skip) return;
  const { signal } = armed;
  armed = undefined;
  // The kernel delivers this before the call returns: not one instruction of ours runs after it.
  process.kill(process.pid, signal);
};

const argument = (flag: string) => {
  const at = process.argv.indexOf(flag);
  return at < 0 ? undefined : process.argv[at + 1];
};

const config = argument('--config');
if (config === undefined) throw new Error('--config FILE is missing');
const first = argument('--arm');
if (first !== undefined) arm(JSON.parse(first) as Armed);
process.on('message', (order) => arm(order as Armed));
// Listening must not keep a proxy alive that was asked to end.
process.channel?.unref();
process.exit(await runProxy(config, { controlPoint }));
