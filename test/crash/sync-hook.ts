// Runs in the log's own thread around each fsync of a test proxy; that thread has no event loop, so orders are fetched.
import { BroadcastChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { type Armed, CHANNEL, Trigger } from './trigger.ts';

const channel = new BroadcastChannel(CHANNEL);
channel.unref();
// Node documents that receiveMessageOnPort takes a BroadcastChannel too; its types do not know it.
const orders = channel as unknown as MessagePort;
const trigger = new Trigger();

export function syncHook(place: 'fsync.before' | 'fsync.after'): void {
  for (let order = receiveMessageOnPort(orders); order !== undefined; order = receiveMessageOnPort(orders))
    trigger.arm(order.message as Armed);
  void trigger.reached(place); // this thread cannot wait, so nothing is held here
}
