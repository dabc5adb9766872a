// The records of the decision log as bytes: positional MessagePack arrays that begin with a version; what this file does
// not know exactly it refuses, never guesses.
//
//   COMMIT     [1, cluster, instance, epoch, seq, atMs, [[shard, gid, xid, timeline, systemIdentifier, lsn|nil], …]]
//   END        [1, epoch, seq]        every participant of a COMMIT was verified committed
//   ABORT      [1, epoch, seq]        tombstone: recovery decided, and it stays decided
//   WATERMARK  [1, epoch, seq]        at or below this id a missing record proves nothing: it may have been pruned
//   CHECKPOINT [1, atMs, watermark: [epoch, seq], highest: [epoch, seq], live: [[lsn|0, COMMIT array], …]]
import { Decoder, Encoder } from '@msgpack/msgpack';
import type { TransactionId } from './gid.ts';

/** The CHECKPOINT's tag belongs to the wal; owners' tags start at 16. */
export const DECISION_TAG = { checkpoint: 1, commit: 16, end: 17, abort: 18, watermark: 19 } as const;

export interface DecidedParticipant {
  readonly shard: string;
  readonly gid: string;
  /** xid8, decimal. */
  readonly xid: string;
  readonly timeline: number;
  readonly systemIdentifier: string;
  readonly lsn?: string;
}

/** The decision to commit, with what is needed to carry it out and to verify it later. */
export interface CommitDecision {
  readonly transaction: TransactionId;
  readonly participants: readonly DecidedParticipant[];
  readonly atMs: number;
}

/** (epoch, seq) of one instance; ids of a log are ordered by it. */
export interface IdPosition {
  readonly epoch: number;
  readonly seq: number;
}

export interface DecisionCheckpoint {
  readonly atMs: number;
  readonly watermark: IdPosition;
  /** The highest id that has a record before this checkpoint. */
  readonly highest: IdPosition;
  /** lsn 0: its own record comes behind this checkpoint, or never came. */
  readonly live: readonly { readonly lsn: number; readonly decision: CommitDecision }[];
}

export type DecisionRecord =
  | { readonly kind: 'checkpoint'; readonly checkpoint: DecisionCheckpoint }
  | { readonly kind: 'commit'; readonly decision: CommitDecision }
  | { readonly kind: 'end' | 'abort' | 'watermark'; readonly id: IdPosition };

/** The payload's checksum was right and yet it says nothing we know: written by another version or by a bug. */
export class DecisionRecordError extends Error {
  override readonly name = 'DecisionRecordError';
}

const VERSION = 1;
const encoder = new Encoder();
const decoder = new Decoder();

export const orderOf = (a: IdPosition, b: IdPosition): number => a.epoch - b.epoch || a.seq - b.seq;

export function encodeCommit(decision: CommitDecision): Uint8Array {
  return encoder.encode(commitArray(decision));
}

/** END, ABORT and WATERMARK carry an id only. */
export function encodeId({ epoch, seq }: IdPosition): Uint8Array {
  return encoder.encode([VERSION, epoch, seq]);
}

export function encodeCheckpoint(checkpoint: DecisionCheckpoint): Uint8Array {
  const { atMs, watermark, highest, live } = checkpoint;
  return encoder.encode([
    VERSION,
    atMs,
    [watermark.epoch, watermark.seq],
    [highest.epoch, highest.seq],
    live.map(({ lsn, decision }) => [lsn, commitArray(decision)]),
  ]);
}

/** Reads one record of the log. Throws DecisionRecordError for an unknown tag, an unknown version or a wrong shape. */
export function decodeRecord(tag: number, payload: Uint8Array): DecisionRecord {
  let fields: unknown;
  try {
    fields = decoder.decode(payload);
  } catch (cause) {
    throw new DecisionRecordError(`record with tag ${tag} is not MessagePack`, { cause });
  }
  switch (tag) {
    case DECISION_TAG.checkpoint:
      return { kind: 'checkpoint', checkpoint: checkpointOf(versioned(fields, 5)) };
    case DECISION_TAG.commit:
      return { kind: 'commit', decision: commitOf(fields) };
    case DECISION_TAG.end:
      return { kind: 'end', id: idOf(versioned(fields, 3), 1) };
    case DECISION_TAG.abort:
      return { kind: 'abort', id: idOf(versioned(fields, 3), 1) };
    case DECISION_TAG.watermark:
      return { kind: 'watermark', id: idOf(versioned(fields, 3), 1) };
    default:
      throw new DecisionRecordError(`unknown record tag ${tag}: written by a newer version?`);
  }
}

function commitArray({ transaction, participants, atMs }: CommitDecision): unknown[] {
  const list = participants.map((one) => [
    one.shard,
    one.gid,
    one.xid,
    one.timeline,
    one.systemIdentifier,
    one.lsn ?? null,
  ]);
  return [VERSION, transaction.cluster, transaction.instance, transaction.epoch, transaction.seq, atMs, list];
}

function commitOf(fields: unknown): CommitDecision {
  const array = versioned(fields, 7);
  const transaction = {
    cluster: text(array[1]),
    instance: text(array[2]),
    epoch: natural(array[3]),
    seq: natural(array[4]),
  };
  const participants = list(array[6]).map((one) => {
    const [shard, gid, xid, timeline, systemIdentifier, lsn] = list(one);
    const participant = {
      shard: text(shard),
      gid: text(gid),
      xid: text(xid),
      timeline: natural(timeline),
      systemIdentifier: text(systemIdentifier),
    };
    return lsn === null ? participant : { ...participant, lsn: text(lsn) };
  });
  return { transaction, participants, atMs: natural(array[5]) };
}

function checkpointOf(array: readonly unknown[]): DecisionCheckpoint {
  return {
    atMs: natural(array[1]),
    watermark: idOf(list(array[2]), 0),
    highest: idOf(list(array[3]), 0),
    live: list(array[4]).map((one) => {
      const [lsn, commit] = list(one);
      return { lsn: natural(lsn), decision: commitOf(commit) };
    }),
  };
}

function idOf(array: readonly unknown[], at: number): IdPosition {
  return { epoch: natural(array[at]), seq: natural(array[at + 1]) };
}

function versioned(fields: unknown, length: number): readonly unknown[] {
  const array = list(fields);
  if (array[0] !== VERSION) throw new DecisionRecordError(`unknown record version ${String(array[0])}`);
  if (array.length !== length) throw new DecisionRecordError(`record has ${array.length} fields instead of ${length}`);
  return array;
}

function list(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new DecisionRecordError('record holds no array where one belongs');
  return value;
}

function text(value: unknown): string {
  if (typeof value !== 'string') throw new DecisionRecordError('record holds no text where one belongs');
  return value;
}

function natural(value: unknown): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw new DecisionRecordError('record holds no whole number where one belongs');
}
