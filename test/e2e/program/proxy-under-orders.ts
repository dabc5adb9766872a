// `atomshard proxy` of the image for end-to-end tests: the same runProxy, with a control point that obeys orders.
import { parseArgs } from 'node:util';
import { BroadcastChannel } from 'node:worker_threads';
import { CHANNEL } from '../../crash/trigger.ts';
import { underOrders } from './orders.ts';

const { values } = parseArgs({ options: { config: { type: 'string' }, instance: { type: 'string' } } });
if (values.config === undefined) throw new Error('--config FILE is missing');
const toLogThread = new BroadcastChannel(CHANNEL);
toLogThread.unref();
const trigger = underOrders((order) => {
  if (!order.point.startsWith('fsync.')) return false;
  toLogThread.postMessage(order);
  return true;
});
// In the image there is no src; its compiled form lies beside this folder.
const built = new URL('../../../dist/proxy/run.js', import.meta.url);
const { runProxy } = (await import(built.href)) as typeof import('../../../src/proxy/run.ts');
process.exit(
  await runProxy(values.config, {
    ...(values.instance === undefined ? {} : { instance: values.instance }),
    controlPoint: (name, participant) => trigger.reached(name, participant),
    syncHook: new URL('./sync-hook.ts', import.meta.url),
  }),
);
