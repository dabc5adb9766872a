// What a log at rest says, for somebody who ends the transactions of its dead owner: every decision that did not end, and
// the log's word about each id that is asked for. Of a damaged log only what is readable is told, and the rest is `damaged`.
//
//   log ── lock, sync ──► replay ──► {identity, decisions without END, word about each id} ──► JSON lines ──► reader
import { WalDamageError } from '../wal/errors.ts';
import { readEpoch } from '../wal/identity.ts';
import { type LogReading, readLog } from '../wal/log-reader.ts';
import type { ReadableStorage } from '../wal/storage.ts';
import { type SurveyedSegment, surveyLog } from '../wal/survey.ts';
import { problemsOf } from '../wal/verify.ts';
import type { WalRecord } from '../wal/wal.ts';
import { type CommitDecision, decodeRecord } from './decision-record.ts';
import { DecisionReplay } from './decision-replay.ts';
import { transactionKey } from './gid.ts';
import { type LogEvidence, positionOf, searchLog } from './log-evidence.ts';

/** whole: it opens · torn: it opens, without a write that a crash cut short · damaged: it refuses · empty: there is none. */
export type DumpedLogStatus = 'whole' | 'torn' | 'damaged' | 'empty';

export interface EvidenceDump {
  readonly status: DumpedLogStatus;
  /** Null when there is no log, or its identity is not readable. */
  readonly walId: string | null;
  /** The last run that wrote this log; 0 when there is none. */
  readonly epoch: number;
  readonly firstEpoch: number;
  /** Why it is damaged: file, byte, what. */
  readonly problems: readonly string[];
  /** Decisions without END. */
  readonly live: readonly CommitDecision[];
  /** The log's word about each id (`<epoch>.<seq>`) that was asked for. */
  readonly words: ReadonlyMap<string, LogEvidence>;
}

type Ids = ReadonlySet<string>;

/** Reads a log that nobody writes. Rejects with a system error, or DecisionRecordError when a newer version wrote it. */
export async function dumpEvidence(storage: ReadableStorage, ids: Ids): Promise<EvidenceDump> {
  try {
    return await readWhole(storage, ids);
  } catch (error) {
    if (!(error instanceof WalDamageError)) throw error;
    return readDamaged(storage, ids, error);
  }
}

async function readWhole(storage: ReadableStorage, ids: Ids): Promise<EvidenceDump> {
  const state = new DecisionReplay();
  const { last } = await readLog(storage, (record) => state.replay(record));
  const left = await readEpoch(storage, await storage.list());
  if (last === null) {
    // An epoch file without segments: nothing was ever written, or the segments were lost; this log judges nothing.
    const words = new Map([...ids].map((key) => [key, LOST] as const));
    return { status: 'empty', walId: null, epoch: left?.epoch ?? 0, firstEpoch: 0, problems: [], live: [], words };
  }
  if (left !== undefined && left.walId !== last.walId) {
    throw new WalDamageError(storage.directory, last.name, 0, `the epoch file is of another log (${left.walId})`);
  }
  const identity = identityOf(last, left);
  const scan = async (onRecord: (record: WalRecord) => void) => void (await readLog(storage, onRecord));
  // Nobody writes, and what is read was synced before: all of it is committed.
  const wal = { scan, positions: { ...NOWHERE, committed: Number.POSITIVE_INFINITY } };
  const words = await searchLog(ids, state, { ...identity, created: false }, wal);
  return { status: last.end.kind === 'torn' ? 'torn' : 'whole', ...identity, problems: [], live: liveOf(state), words };
}

const LOST: LogEvidence = { kind: 'lost' };
const NOWHERE = { oldest: 0, applied: 0, durable: 0, appended: 0 };

function identityOf(last: NonNullable<LogReading['last']>, left: { epoch: number; firstEpoch: number } | undefined) {
  return {
    walId: last.walId,
    epoch: Math.max(last.epoch, left?.epoch ?? 0),
    // A repair that lost acknowledged records raises it in the epoch file.
    firstEpoch: Math.max(last.firstEpoch, left?.firstEpoch ?? 0),
  };
}

const liveOf = (state: DecisionReplay): CommitDecision[] => [...state.live.values()].map(({ decision }) => decision);

/** A COMMIT record that is whole says what it says, whatever is broken around it; a missing one says nothing. */
async function readDamaged(storage: ReadableStorage, ids: Ids, damage: WalDamageError): Promise<EvidenceDump> {
  const state = new DecisionReplay();
  const found = new Map<string, LogEvidence>();
  const visit = ({ lsn, tag, payload }: WalRecord) => {
    const record = readable(tag, payload);
    if (record === null) return;
    state.replay({ lsn, tag, payload });
    if (record.kind === 'abort') found.set(transactionKey(record.id), { kind: 'abort' });
    const decisions = record.kind === 'checkpoint' ? record.checkpoint.live.map(({ decision }) => decision) : [];
    if (record.kind === 'commit') decisions.push(record.decision);
    for (const decision of decisions) {
      const key = transactionKey(decision.transaction);
      if (ids.has(key)) found.set(key, { kind: 'commit', decision, lsn, committed: true, ended: false });
    }
  };
  const segments = await surveyLog(storage, false, (_segment, record, checkpoint) =>
    visit(checkpoint === undefined ? record : { ...record, payload: checkpoint.owner }),
  );
  for (const { end } of segments) if (end.kind === 'damaged') for (const record of end.behind) visit(record);
  const identity = surveyedIdentity(segments);
  const left = await readEpoch(storage, await storage.list()).catch(() => undefined);
  const epoch = Math.max(identity.epoch, left?.epoch ?? 0);
  const firstEpoch = Math.max(identity.firstEpoch, left?.firstEpoch ?? 0);
  const words = new Map([...ids].map((key) => [key, found.get(key) ?? unread(key, firstEpoch)] as const));
  const problems = segments.flatMap(problemsOf);
  return {
    status: 'damaged',
    walId: identity.walId,
    epoch,
    firstEpoch,
    problems: problems.length > 0 ? problems : [`${damage.file} at byte ${damage.offset}: ${damage.reason}`],
    live: liveOf(state),
    words,
  };
}

/** An id from before the log was never in it, damaged or not. */
const unread = (key: string, firstEpoch: number): LogEvidence =>
  firstEpoch > 0 && positionOf(key).epoch < firstEpoch ? LOST : { kind: 'damaged' };

/** The record; null when its payload is not readable, or a checkpoint behind damage, which is still wrapped. */
function readable(tag: number, payload: Uint8Array): ReturnType<typeof decodeRecord> | null {
  try {
    return decodeRecord(tag, payload);
  } catch {
    return null;
  }
}

function surveyedIdentity(segments: readonly SurveyedSegment[]) {
  const headers = segments.flatMap(({ header }) => header ?? []);
  return {
    walId: headers.at(-1)?.walId ?? null,
    epoch: Math.max(0, ...headers.map(({ epoch }) => epoch)),
    firstEpoch: Math.max(0, ...segments.map(({ checkpoint }) => checkpoint?.firstEpoch ?? 0)),
  };
}
