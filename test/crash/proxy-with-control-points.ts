// The proxy with a hand on its switch: the same runProxy as in production, and a control point that kills or freezes it there.
//
// Used by tests only. What to do arrives by `--arm JSON` (so that recovery at start can be hit) or over the parent's channel;
// production has neither: src/main.ts passes no control point.
import { BroadcastChannel } from 'node:worker_threads';
import { runProxy } from '../../src/proxy/run.ts';
import { type Armed, CHANNEL, Trigger } from './trigger.ts';

const trigger = new Trigger();
const toLogThread = new BroadcastChannel(CHANNEL);
toLogThread.unref();

function arm(order: Armed): void {
  if (order.point.startsWith('fsync.')) toLogThread.postMessage(order);
  else trigger.arm(order);
}

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
const syncHook = new URL('./sync-hook.ts', import.meta.url);
process.exit(
  await runProxy(config, { controlPoint: (name, participant) => trigger.reached(name, participant), syncHook }),
);
