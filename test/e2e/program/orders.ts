// Orders to a process under test, left as files in a folder that it shares with whoever may `kubectl exec` into its container.
//
//   order.json     where to stop and how (trigger.ts); taken, which removes it, at once or at the next start
//   next-order.json the same, but only taken at a start
//   reached.json   written at the moment when the place is reached
//   died.json      when and how the child ended
//   refuse-start   a time in milliseconds; before it the process ends as soon as it starts
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, watch, writeFileSync } from 'node:fs';
import { type Armed, Trigger } from '../../crash/trigger.ts';

/** On a volume, so that an order can wait for the next start. */
export const ordersFolder = process.env.ATOMSHARD_E2E_ORDERS ?? '/var/lib/atomshard/orders';

export const ORDER = 'order.json';
export const NEXT_ORDER = 'next-order.json';
export const REACHED = 'reached.json';
export const REFUSE_START = 'refuse-start';
export const DIED = 'died.json';

/** Makes the folder; false where nobody gave this container a place for one, so that it just runs. */
export function hasOrders(): boolean {
  try {
    mkdirSync(ordersFolder, { recursive: true });
    return true;
  } catch (error) {
    console.error(`e2e: takes no orders: ${error instanceof Error ? error.message : String(error)}`);
    return false;
  }
}

export function leaveWord(name: string, word: object | number): void {
  const file = `${ordersFolder}/${name}`;
  writeFileSync(`${file}.new`, JSON.stringify(word));
  renameSync(`${file}.new`, file);
}

export function refusesStart(): boolean {
  const file = `${ordersFolder}/${REFUSE_START}`;
  return existsSync(file) && Date.now() < Number(readFileSync(file, 'utf8'));
}

export function sayReached(armed: Armed): void {
  leaveWord(REACHED, { ...armed, atMs: Date.now() });
  console.log(`e2e: reached ${armed.point}`);
}

/** Undefined, and said, where it is none: whoever gave it waits in vain, and says so; later ones are heard. */
function orderIn(text: string): Armed | undefined {
  try {
    return JSON.parse(text) as Armed;
  } catch (error) {
    console.error(
      `e2e: ${JSON.stringify(text)} is no order: ${error instanceof Error ? error.message : String(error)}`,
    );
    return undefined;
  }
}

/** Arms the trigger with what is ordered now and later; `elsewhere` may take an order to another thread instead. */
export function underOrders(elsewhere: (order: Armed) => boolean = () => false): Trigger {
  const trigger = new Trigger(sayReached);
  if (!hasOrders()) return trigger;
  const take = (name: string) => {
    const file = `${ordersFolder}/${name}`;
    if (!existsSync(file)) return;
    const text = readFileSync(file, 'utf8');
    rmSync(file);
    const order = orderIn(text);
    if (order === undefined) return;
    rmSync(`${ordersFolder}/${REACHED}`, { force: true });
    console.log(`e2e: armed ${JSON.stringify(order)}`);
    if (!elsewhere(order)) trigger.arm(order);
  };
  take(NEXT_ORDER);
  take(ORDER);
  watch(ordersFolder, () => take(ORDER)).unref();
  return trigger;
}
