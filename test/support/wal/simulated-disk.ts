// A disk in memory that forgets what was not synced: any subset of sectors and of directory changes survives a power cut.

import type { Disk, DiskHandle } from '../../../src/wal/disk.ts';
import type { Random } from '../random.ts';

const SECTOR_BYTES = 512;

interface SimulatedFile {
  /** What a reader sees now. */
  bytes: Uint8Array;
  /** What a power cut leaves for certain. */
  durable: Uint8Array;
}

export type DiskStep = 'open' | 'write' | 'sync' | 'truncate' | 'rename' | 'link' | 'remove' | 'syncDirectory';

/** Called before each step; throws to make it fail, or to stop the world there. */
export type StepHook = (step: DiskStep, name: string, disk: SimulatedDisk) => void;

function systemError(code: string, name: string): Error {
  return Object.assign(new Error(`${code}: ${name}`), { code });
}

export class SimulatedDisk implements Disk {
  /** Names as they are now, and as a power cut would certainly leave them. */
  names = new Map<string, SimulatedFile>();
  #durableNames = new Map<string, SimulatedFile>();
  readonly #handles = new Map<DiskHandle, { file: SimulatedFile; name: string }>();
  #lastHandle = 0;
  hook: StepHook = () => undefined;
  steps = 0;
  /** When set, files may not grow beyond this many bytes in total. */
  capacityBytes = Number.POSITIVE_INFINITY;

  open(name: string, mode: 'new' | 'existing'): DiskHandle {
    this.#step('open', name);
    let file = this.names.get(name);
    if (mode === 'existing' && file === undefined) throw systemError('ENOENT', name);
    if (file === undefined) {
      file = { bytes: new Uint8Array(0), durable: new Uint8Array(0) };
      this.names.set(name, file);
    } else if (mode === 'new') file.bytes = new Uint8Array(0);
    this.#lastHandle += 1;
    this.#handles.set(this.#lastHandle, { file, name });
    return this.#lastHandle;
  }

  write(handle: DiskHandle, position: number, bytes: Uint8Array): void {
    const { file, name } = this.#file(handle);
    this.#step('write', name);
    const length = Math.max(file.bytes.length, position + bytes.length);
    const growth = length - file.bytes.length;
    if (growth > 0 && this.#used() + growth > this.capacityBytes) throw systemError('ENOSPC', name);
    const next = new Uint8Array(length);
    next.set(file.bytes);
    next.set(bytes, position);
    file.bytes = next;
  }

  sync(handle: DiskHandle): void {
    const { file, name } = this.#file(handle);
    this.#step('sync', name);
    file.durable = file.bytes.slice();
  }

  truncate(handle: DiskHandle, bytes: number): void {
    const { file, name } = this.#file(handle);
    this.#step('truncate', name);
    const next = new Uint8Array(bytes);
    next.set(file.bytes.subarray(0, bytes));
    file.bytes = next;
  }

  close(handle: DiskHandle): void {
    this.#handles.delete(handle);
  }

  rename(from: string, to: string): void {
    this.#step('rename', from);
    const file = this.names.get(from);
    if (file === undefined) throw systemError('ENOENT', from);
    this.names.delete(from);
    this.names.set(to, file);
  }

  link(from: string, to: string): void {
    this.#step('link', from);
    const file = this.names.get(from);
    if (file === undefined) throw systemError('ENOENT', from);
    if (this.names.has(to)) throw systemError('EEXIST', to);
    this.names.set(to, file);
  }

  remove(name: string): void {
    this.#step('remove', name);
    this.names.delete(name);
  }

  syncDirectory(): void {
    this.#step('syncDirectory', '.');
    this.#durableNames = new Map(this.names);
  }

  read(name: string, position: number, length: number): Uint8Array {
    const file = this.names.get(name);
    if (file === undefined) throw systemError('ENOENT', name);
    return file.bytes.slice(position, position + length);
  }

  /** The disk after the power came back. */
  afterPowerCut(random: Random): SimulatedDisk {
    const after = new SimulatedDisk();
    const survivors = new Map<SimulatedFile, SimulatedFile>();
    const survive = (file: SimulatedFile) => {
      const known = survivors.get(file);
      if (known !== undefined) return known;
      const bytes = mixSectors(file, random);
      const survivor = { bytes, durable: bytes.slice() };
      survivors.set(file, survivor);
      return survivor;
    };
    for (const name of new Set([...this.names.keys(), ...this.#durableNames.keys()])) {
      const now = this.names.get(name);
      const durable = this.#durableNames.get(name);
      // Each change of a name that was not synced happened or did not.
      const file = now === durable || random.next() < 0.5 ? now : durable;
      if (file !== undefined) after.names.set(name, survive(file));
    }
    after.#durableNames = new Map(after.names);
    return after;
  }

  /** The disk after the process was killed: nothing is lost that was written. */
  afterKill(): SimulatedDisk {
    const after = new SimulatedDisk();
    for (const [name, file] of this.names) after.names.set(name, { ...file });
    after.#durableNames = new Map(after.names);
    return after;
  }

  /** From now on no file grows. */
  fill(): void {
    this.capacityBytes = this.#used();
  }

  #used(): number {
    return [...new Set(this.names.values())].reduce((sum, file) => sum + file.bytes.length, 0);
  }

  #step(step: DiskStep, name: string): void {
    this.steps += 1;
    this.hook(step, name, this);
  }

  #file(handle: DiskHandle): { file: SimulatedFile; name: string } {
    const open = this.#handles.get(handle);
    if (open === undefined) throw systemError('EBADF', String(handle));
    return open;
  }
}

/** Every sector is the new one or the old one; the size is the new one or the old one. */
function mixSectors(file: SimulatedFile, random: Random): Uint8Array {
  const { bytes, durable } = file;
  const mixed = new Uint8Array(bytes.length === durable.length || random.next() < 0.5 ? bytes.length : durable.length);
  const keepAll = random.next();
  for (let at = 0; at < mixed.length; at += SECTOR_BYTES) {
    const isNew = keepAll < 0.15 || (keepAll < 0.85 && random.next() < 0.5);
    mixed.set((isNew ? bytes : durable).subarray(at, Math.min(at + SECTOR_BYTES, mixed.length)), at);
  }
  return mixed;
}
