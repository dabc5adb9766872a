// The storage that is really there: groups go through a thread of its own with synchronous calls, everything that may
// take its time (reading, preparing space, deleting) goes through the runtime's pool and never delays a group.

import * as fs from 'node:fs/promises';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { lockDirectory } from './directory-lock.ts';
import { systemErrorCode, walClosed } from './errors.ts';
import { HandoffSender, newHandoffMemory } from './handoff.ts';
import { TEMPORARY_SUFFIX } from './log-files.ts';
import type { SegmentStart, Storage, StorageEvents, StoredFile } from './storage.ts';
import type { CarriedError, SyncCommand, SyncReport, SyncWorkerSettings } from './sync-worker.ts';

const ZEROS = new Uint8Array(1024 * 1024);
/** Zeros are synced in steps, so that a group's sync never waits behind a whole segment of them. */
const PREPARE_SYNC_BYTES = 4 * ZEROS.length;

export interface FileStorageOptions {
  /** Address of a module whose `syncHook` runs in the writing thread around each sync; for tests only. */
  readonly syncHook?: URL;
}

/** Reads a log's directory without touching it. */
export class FileReader {
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
  }

  async list(): Promise<StoredFile[]> {
    const files: StoredFile[] = [];
    for (const name of await fs.readdir(this.directory)) {
      const stat = await fs.stat(path.join(this.directory, name)).catch(unlessGone);
      if (stat?.isFile()) files.push({ name, bytes: stat.size });
    }
    return files;
  }

  async read(name: string, position: number, length: number): Promise<Uint8Array> {
    await using file = await fs.open(path.join(this.directory, name), 'r');
    // Only what was read is handed out; and a plain array, because a Buffer's subarray costs three times as much.
    const bytes = new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);
    let done = 0;
    while (done < length) {
      const { bytesRead } = await file.read(bytes, done, length - done, position + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return bytes.subarray(0, done);
  }
}

interface Call {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class FileStorage extends FileReader implements Storage {
  readonly #options: FileStorageOptions;
  readonly #calls = new Map<number, Call>();
  readonly #memory = newHandoffMemory();
  readonly #handoff = new HandoffSender(this.#memory);
  #unlock: (() => void) | undefined;
  #worker: Worker | undefined;
  #events: StorageEvents | undefined;
  /** Of the segment that was started last. */
  #segmentId = 0;
  #lastCall = 0;
  /** The thread may sleep although something was offered. */
  #wakeDue = false;
  #closing = false;

  constructor(directory: string, options: FileStorageOptions = {}) {
    super(path.resolve(directory));
    this.#options = options;
  }

  async lock(holder: string): Promise<void> {
    const made = await fs.mkdir(this.directory, { recursive: true });
    // The first directory that was made is a name in its parent, and so on down: each needs its own sync.
    for (let at = this.directory; made !== undefined && at.length >= made.length; at = path.dirname(at)) {
      await syncDirectory(path.dirname(at));
    }
    this.#unlock = lockDirectory(this.directory, holder);
    this.#worker = this.#spawn(); // it starts while the log is read
  }

  publish(name: string, bytes: Uint8Array): Promise<void> {
    return this.#call((id) => ({ kind: 'publish', id, name, bytes }));
  }

  cut(name: string, bytes: number): Promise<void> {
    return this.#call((id) => ({ kind: 'cut', id, name, bytes }));
  }

  start(segment: SegmentStart, events: StorageEvents): Promise<void> {
    this.#events = events;
    this.#segmentId = segment.segmentId;
    return this.#call((id) => ({ kind: 'start', id, segment }));
  }

  offer(record: Uint8Array): boolean {
    const offered = this.#handoff.offer(record, this.#segmentId);
    this.#wakeDue ||= offered === 'first';
    return offered !== 'full';
  }

  begin(): void {
    if (!this.#wakeDue) return;
    this.#wakeDue = false;
    this.#handoff.wake();
  }

  async prepare(name: string, bytes: number): Promise<void> {
    const temporary = path.join(this.directory, name + TEMPORARY_SUFFIX);
    try {
      await using file = await fs.open(temporary, 'w');
      for (let done = 0; done < bytes; ) {
        const step = Math.min(ZEROS.length, bytes - done);
        const { bytesWritten } = await file.write(ZEROS, 0, step, done);
        done += bytesWritten;
        if (done % PREPARE_SYNC_BYTES === 0 || done === bytes) await file.datasync(); // crash: a temporary file
      }
    } catch (error) {
      await fs.rm(temporary, { force: true }); // a full disk must not stay full of our half-made zeros
      throw error;
    }
    await fs.rename(temporary, path.join(this.directory, name)); // crash: the spare may be missing, never half
    await syncDirectory(this.directory);
  }

  async remove(name: string): Promise<void> {
    await fs.unlink(path.join(this.directory, name)).catch(unlessGone);
    await syncDirectory(this.directory); // crash: the file is there or not; it was not needed
  }

  async close(): Promise<void> {
    if (this.#worker !== undefined) {
      await this.#call((id) => ({ kind: 'close', id })).catch(() => undefined); // a dead thread is closed
      this.#closing = true;
      await this.#worker.terminate();
    }
    this.#closing = true;
    this.#unlock?.();
    this.#unlock = undefined;
  }

  #call(build: (id: number) => SyncCommand): Promise<void> {
    if (this.#closing) return Promise.reject(walClosed());
    this.#worker ??= this.#spawn();
    const worker = this.#worker;
    const id = ++this.#lastCall;
    return new Promise((resolve, reject) => {
      this.#calls.set(id, { resolve, reject });
      worker.postMessage(build(id));
      this.#handoff.signalCommand();
    });
  }

  #spawn(): Worker {
    const settings: SyncWorkerSettings = {
      directory: this.directory,
      memory: this.#memory,
      syncHookUrl: this.#options.syncHook?.href,
    };
    // `.ts` when run from the sources, `.js` when run from the compiled program.
    const url = new URL(`./sync-worker${path.extname(import.meta.url)}`, import.meta.url);
    // None of the process's flags: some (`--eval`) make no sense for a thread and stop it from starting.
    const worker = new Worker(url, { workerData: settings, name: 'wal', execArgv: [] });
    worker.on('message', (report: SyncReport) => this.#onReport(report));
    worker.on('error', (error) => this.#onThreadEnd(error));
    worker.on('exit', (code) => this.#onThreadEnd(new Error(`the writing thread ended with code ${code}`)));
    return worker;
  }

  #onReport(report: SyncReport): void {
    switch (report.kind) {
      case 'durable':
        this.#events?.durable(report.group);
        return;
      case 'failed':
        this.#events?.failed(report.operation, arrived(report.error));
        return;
      case 'done':
        this.#settle(report.id)?.resolve();
        return;
      case 'refused':
        this.#settle(report.id)?.reject(arrived(report.error));
    }
  }

  #settle(id: number): Call | undefined {
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    return call;
  }

  /** The thread ends by itself only after `close`; at any other time the log has failed. */
  #onThreadEnd(error: Error): void {
    for (const call of this.#calls.values()) call.reject(error);
    this.#calls.clear();
    if (!this.#closing) this.#events?.failed('ran its writing thread', error);
  }
}

const arrived = ({ message, code }: CarriedError): Error => Object.assign(new Error(message), { code });

async function syncDirectory(directory: string): Promise<void> {
  await using handle = await fs.open(directory, 'r');
  await handle.sync();
}

function unlessGone(error: unknown): undefined {
  if (systemErrorCode(error) !== 'ENOENT') throw error;
  return undefined;
}
