// Opening, filling and reading logs in tests, on the simulated disk or on files.

import { type OpenedWal, openWal, type Wal, type WalOptions, type WalRecord } from '../../../src/wal/wal.ts';
import { InlineStorage } from './inline-storage.ts';
import { SimulatedDisk } from './simulated-disk.ts';

export const TAG = 16;
export const text = (value: string): Uint8Array => new TextEncoder().encode(value);
export const untext = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

export interface ReadRecord {
  readonly lsn: number;
  readonly tag: number;
  readonly text: string;
  readonly committedAtWrite: number;
}

export interface OpenedLog {
  readonly opened: OpenedWal;
  /** All records, in order, payloads as text. */
  readonly records: readonly ReadRecord[];
}

export const asRead = ({ lsn, tag, payload, committedAtWrite }: WalRecord): ReadRecord => ({
  lsn,
  tag,
  text: untext(payload),
  committedAtWrite,
});

/** Opens without starting. */
export async function openLog(options: Partial<WalOptions>): Promise<OpenedLog> {
  const records: ReadRecord[] = [];
  const opened = await openWal({ directory: 'simulated', segmentBytes: 4096, ...options }, (record) =>
    records.push(asRead(record)),
  );
  return { opened, records };
}

/** Opens a log on a simulated disk and starts it with an empty checkpoint. */
export async function startOn(
  disk: SimulatedDisk,
  options: Partial<WalOptions> = {},
): Promise<OpenedLog & { readonly wal: Wal; readonly storage: InlineStorage }> {
  const storage = new InlineStorage(disk);
  const log = await openLog({ storage, ...options });
  return { ...log, wal: await log.opened.start(text('checkpoint')), storage };
}

/** The owner's records on a disk, read by an open that is closed again. */
export async function ownerRecordsOn(disk: SimulatedDisk): Promise<ReadRecord[]> {
  const { opened, records } = await openLog({ storage: new InlineStorage(disk) });
  await opened.close();
  return records.filter((record) => record.tag >= TAG);
}

/** A disk with one log of `count` records `r1`, `r2`, …, appended one by one and closed. */
export async function diskWith(count: number, options: Partial<WalOptions> = {}): Promise<SimulatedDisk> {
  const disk = new SimulatedDisk();
  const { wal } = await startOn(disk, options);
  for (let index = 1; index <= count; index += 1) await wal.append(TAG, text(`r${index}`));
  await wal.close();
  return disk;
}

/** Names of the segments on a disk, oldest first. */
export const segmentsOn = (disk: SimulatedDisk): string[] =>
  [...disk.names.keys()].filter((name) => name.endsWith('.wal')).toSorted();

/** The bytes of a file, to be changed in place by a test. */
export function bytesOf(disk: SimulatedDisk, name: string | undefined): Uint8Array {
  const file = name === undefined ? undefined : disk.names.get(name);
  if (file === undefined) throw new Error(`no file ${name}`);
  return file.bytes;
}
