// The log thread's side of orders: as test/crash/sync-hook.ts, and it leaves word when a place is reached.
import { BroadcastChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { type Armed, CHANNEL, Trigger } from '../../crash/trigger.ts';
import { sayReached } from './orders.ts';

const channel = new BroadcastChannel(CHANNEL);
channel.unref();
// Node documents that receiveMessageOnPort takes a BroadcastChannel too; its types do not know it.
const orders = channel as unknown as MessagePort;
const trigger = new Trigger(sayReached);

export function syncHook(place: 'fsync.before' | 'fsync.after'): void {
  for (let order = receiveMessageOnPort(orders); order !== undefined; order = receiveMessageOnPort(orders))
    trigger.arm(order.message as Armed);
  void trigger.reached(place); // this thread cannot wait, so nothing is held here
}
