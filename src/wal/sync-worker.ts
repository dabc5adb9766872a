// The writing thread: it blocks for records, writes and syncs them as one group, and says so; the rule is that after the
// first error it writes nothing more and acknowledges nothing more.

import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { systemErrorCode } from './errors.ts';
import { HandoffReceiver } from './handoff.ts';
import { LogFiles, type SyncHook } from './log-files.ts';
import { NodeDisk } from './node-disk.ts';
import type { DurableGroup, SegmentStart } from './storage.ts';

export interface SyncWorkerSettings {
  readonly directory: string;
  readonly memory: SharedArrayBuffer;
  /** Address of a module that exports `syncHook`; only tests pass one. */
  readonly syncHookUrl: string | undefined;
}

export type SyncCommand =
  | { readonly kind: 'start'; readonly id: number; readonly segment: SegmentStart }
  | { readonly kind: 'publish'; readonly id: number; readonly name: string; readonly bytes: Uint8Array }
  | { readonly kind: 'cut'; readonly id: number; readonly name: string; readonly bytes: number }
  | { readonly kind: 'close'; readonly id: number };

export type SyncReport =
  | { readonly kind: 'durable'; readonly group: DurableGroup }
  | { readonly kind: 'failed'; readonly operation: string; readonly error: CarriedError }
  | { readonly kind: 'done'; readonly id: number }
  | { readonly kind: 'refused'; readonly id: number; readonly error: CarriedError };

/** A message between threads keeps an error's text but not its system code, so both travel by themselves. */
export interface CarriedError {
  readonly message: string;
  readonly code: string | undefined;
}

const carried = (thrown: unknown): CarriedError => ({
  message: thrown instanceof Error ? thrown.message : String(thrown),
  code: systemErrorCode(thrown),
});

/** Carries out one command; true when it was the last. */
function perform(files: LogFiles, command: SyncCommand): boolean {
  switch (command.kind) {
    case 'start':
      files.start(command.segment);
      return false;
    case 'publish':
      files.publish(command.name, command.bytes);
      return false;
    case 'cut':
      files.cut(command.name, command.bytes);
      return false;
    case 'close':
      files.close();
      return true;
  }
}

async function loadHook(url: string | undefined): Promise<SyncHook | undefined> {
  if (url === undefined) return undefined;
  const module: { syncHook: SyncHook } = await import(url);
  return module.syncHook;
}

function run(settings: SyncWorkerSettings, hook: SyncHook | undefined): void {
  const port = parentPort;
  if (port === null) throw new Error('sync-worker runs in a thread of its own');
  const report = (message: SyncReport) => port.postMessage(message);
  const handoff = new HandoffReceiver(settings.memory);
  const files = new LogFiles(new NodeDisk(settings.directory), hook);
  let failed = false;
  for (;;) {
    const { group, command } = handoff.take();
    if (group.length > 0 && !failed) {
      try {
        report({ kind: 'durable', group: files.append(group) });
      } catch (error) {
        // No retry: after a failed fsync the kernel may have dropped the page and a second one would "succeed".
        failed = true;
        report({ kind: 'failed', operation: 'wrote a group of records', error: carried(error) });
      }
    }
    while (command) {
      const received: { message: SyncCommand } | undefined = receiveMessageOnPort(port);
      if (received === undefined) break;
      const { message } = received;
      try {
        const last = perform(files, message);
        report({ kind: 'done', id: message.id });
        if (last) return;
      } catch (error) {
        if (message.kind === 'start') failed = true;
        report({ kind: 'refused', id: message.id, error: carried(error) });
        if (message.kind === 'close') return;
      }
    }
  }
}

const settings: SyncWorkerSettings = workerData;
run(settings, await loadHook(settings.syncHookUrl));
