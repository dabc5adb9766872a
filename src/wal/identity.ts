// Who this log is and which run of it this is: the epoch is durable, and taken by nobody else, before it is used.

import { randomBytes } from 'node:crypto';
import { isNoSpace, systemErrorCode, WalDamageError, WalLockedError } from './errors.ts';
import type { WalIdentity } from './log.ts';
import type { LastSegment } from './log-reader.ts';
import { parseSpareName } from './provision.ts';
import type { ReadableStorage, Storage, StoredFile } from './storage.ts';

const WAL_ID_BYTES = 16;
const EPOCH_DIGITS = 20;
const EPOCH_FILE_BYTES_MAX = 1024;
/** Given back from the reserve when a full disk has no room for the epoch file. */
const EPOCH_SPACE_BYTES = 64 * 1024;

export interface EpochFile {
  readonly walId: string;
  readonly epoch: number;
  readonly firstEpoch: number;
}

const epochName = (epoch: number): string => `${String(epoch).padStart(EPOCH_DIGITS, '0')}.epoch`;

/**
 * Takes the next epoch. A log without any segment is a new one (`created`), even when an epoch file is left over: either
 * nothing was ever written, or the segments were lost, and then older transactions must not be judged by this log.
 */
export async function claimEpoch(storage: Storage, last: LastSegment | null, nowMs: number): Promise<WalIdentity> {
  const files = await storage.list();
  const left = await readEpoch(storage, files);
  if (last !== null && left !== undefined && left.walId !== last.walId) {
    const reason = `the segments belong to another log (${last.walId})`;
    throw new WalDamageError(storage.directory, epochName(left.epoch), 0, reason);
  }
  const previous = Math.max(left?.epoch ?? 0, last?.epoch ?? 0);
  const epoch = previous === 0 ? Math.floor(nowMs / 1000) : previous + 1;
  const created = last === null;
  const walId = last?.walId ?? randomBytes(WAL_ID_BYTES).toString('hex');
  // A repair that lost acknowledged records raises the first epoch in the epoch file (repair.ts).
  const firstEpoch = last === null ? epoch : Math.max(last.firstEpoch, left?.firstEpoch ?? 0);
  await publishEpoch(storage, files, { walId, epoch, firstEpoch });
  for (const name of epochNames(files)) await storage.remove(name); // crash: older epoch files stay beside the newer, which wins
  return { walId, epoch, firstEpoch, created };
}

export async function publishEpoch(storage: Storage, files: readonly StoredFile[], content: EpochFile): Promise<void> {
  const name = epochName(content.epoch);
  const bytes = new TextEncoder().encode(`${JSON.stringify(content)}\n`);
  try {
    await storage.publish(name, bytes);
  } catch (error) {
    // The lock should have kept the other out; where it does not work (some network file systems) the name still does.
    if (systemErrorCode(error) === 'EEXIST')
      throw new WalLockedError(storage.directory, 'a process that took its epoch');
    const reserve = files.find((file) => parseSpareName(file.name)?.role === 'reserve');
    if (!isNoSpace(error) || reserve === undefined) throw error;
    await storage.cut(reserve.name, Math.max(0, reserve.bytes - EPOCH_SPACE_BYTES));
    await storage.publish(name, bytes);
  }
}

const epochNames = (files: readonly StoredFile[]): string[] =>
  files.map((file) => file.name).filter((name) => /^\d{20}\.epoch$/.test(name));

/** The newest epoch file, if there is one. Throws WalDamageError when it cannot be believed. */
export async function readEpoch(
  storage: ReadableStorage,
  files: readonly StoredFile[],
): Promise<EpochFile | undefined> {
  const newest = epochNames(files).toSorted().at(-1);
  return newest === undefined ? undefined : readEpochFile(storage, newest);
}

async function readEpochFile(storage: ReadableStorage, name: string): Promise<EpochFile> {
  const text = new TextDecoder().decode(await storage.read(name, 0, EPOCH_FILE_BYTES_MAX));
  const content = parseJson(text);
  const damaged = new WalDamageError(
    storage.directory,
    name,
    0,
    'this is not an epoch file; move it away, then the segments tell the epoch',
  );
  if (typeof content !== 'object' || content === null) throw damaged;
  const { walId, epoch, firstEpoch } = { walId: null, epoch: null, firstEpoch: null, ...content };
  if (typeof walId !== 'string' || !Number.isSafeInteger(epoch) || !Number.isSafeInteger(firstEpoch)) throw damaged;
  if (epochName(Number(epoch)) !== name) throw damaged;
  return { walId, epoch: Number(epoch), firstEpoch: Number(firstEpoch) };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
