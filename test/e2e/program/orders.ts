// Orders to a process under test, left as files in a folder that it shares with whoever may `kubectl exec` into its container.
//
//   order.json     where to stop and how (trigger.ts); taken, which removes it, at once or at the next start
//   reached.json   written at the moment when the place is reached
//   refuse-start   while it exists the process ends as soon as it starts
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, watch, writeFileSync } from 'node:fs';
import { type Armed, Trigger } from '../../crash/trigger.ts';

/** On a volume, so that an order can wait for the next start. */
export const ordersFolder = process.env.ATOMSHARD_E2E_ORDERS ?? '/var/lib/atomshard/orders';

export const ORDER = 'order.json';
export const REACHED = 'reached.json';
export const REFUSE_START = 'refuse-start';

/** Arms the trigger with what is ordered now and later; `elsewhere` may take an order to another thread instead. */
export function underOrders(elsewhere: (order: Armed) => boolean = () => false): Trigger {
  mkdirSync(ordersFolder, { recursive: true });
  const trigger = new Trigger((armed) => {
    const file = `${ordersFolder}/${REACHED}`;
    writeFileSync(`${file}.new`, JSON.stringify({ ...armed, atMs: Date.now() }));
    renameSync(`${file}.new`, file);
    console.log(`e2e: reached ${armed.point}`);
  });
  const take = () => {
    const file = `${ordersFolder}/${ORDER}`;
    if (!existsSync(file)) return;
    const order = JSON.parse(readFileSync(file, 'utf8')) as Armed;
    rmSync(file);
    rmSync(`${ordersFolder}/${REACHED}`, { force: true });
    console.log(`e2e: armed ${JSON.stringify(order)}`);
    if (!elsewhere(order)) trigger.arm(order);
  };
  take();
  watch(ordersFolder, take).unref();
  return trigger;
}
