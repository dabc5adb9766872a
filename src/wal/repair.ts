// `atomshard wal repair`: makes a damaged log open again, says first what that loses, and never without a copy of it.
//
//   segments     ■ ■ ■ ✗ ■ ■      what a later checkpoint restates is not needed to open: keep the intact end,
//   set aside    ▒ ▒ ▒ ▒ ■ ■      rename the rest to *.broken. Lost: decisions that had ended.
//
//   segments     ■ ■ ■ ■ ■ ■ ✗ ■  damage in the last segment: keep everything before it,
//   cut          ■ ■ ■ ■ ■ ■      copy the rest to *.broken, cut. Lost: every decision behind it.
//
// Both may lose acknowledged records, so both raise the log's first epoch: afterwards "there is no record" proves nothing
// about any transaction of before, and recovery asks the shards instead of presuming abort.

import { describeHolder } from './directory-lock.ts';
import { WalError } from './errors.ts';
import { FileReader, FileStorage } from './file-storage.ts';
import { publishEpoch, readEpoch } from './identity.ts';
import { NodeDisk } from './node-disk.ts';
import { keepCopy } from './repair-copy.ts';
import { type SurveyedSegment, surveyLog } from './survey.ts';
import { problemsOf } from './verify.ts';

export type RepairPlan =
  | { readonly kind: 'nothing' }
  | {
      readonly kind: 'repair';
      /** True when records that were acknowledged are, or may be, lost. A torn write is not. */
      readonly losesAcknowledged: boolean;
      /** Segment files that get the ending `.broken`. */
      readonly setAside: readonly string[];
      readonly cut: { readonly file: string; readonly offset: number; readonly bytes: number } | undefined;
      /** Records that stay, by lsn; undefined when none does. */
      readonly keeps: { readonly firstLsn: number; readonly lastLsn: number } | undefined;
      /** Whole records that are readable in what goes, which `atomshard wal dump` shows. */
      readonly readableLost: number;
      readonly problems: readonly string[];
    };

/** Reads the log and decides what a repair would do. Changes nothing. */
export async function planRepair(directory: string): Promise<RepairPlan> {
  return planFor(await surveyLog(new FileReader(directory), false));
}

/** The decision itself, pure. */
export function planFor(segments: readonly SurveyedSegment[]): RepairPlan {
  const problems = segments.flatMap(problemsOf);
  const lastIndex = segments.findLastIndex(
    ({ header, checkpoint }) => header !== undefined && checkpoint !== undefined,
  );
  const last = segments[lastIndex];
  const isTorn = last?.end.kind === 'torn';
  if (problems.length === 0 && !isTorn) return { kind: 'nothing' };
  let first = lastIndex;
  while (first > 0 && continues(segments[first], segments[first - 1])) first -= 1;
  const kept = segments.slice(Math.max(first, 0), lastIndex + 1);
  const setAside = segments.filter((segment) => !kept.includes(segment));
  const isCut = isTorn || last?.end.kind === 'damaged';
  return {
    kind: 'repair',
    losesAcknowledged: problems.length > 0,
    setAside: setAside.map(({ name }) => name),
    cut: last && isCut ? { file: last.name, offset: last.end.offset, bytes: last.bytes - last.end.offset } : undefined,
    keeps: last && kept[0] && { firstLsn: kept[0].firstLsn, lastLsn: last.lastLsn },
    readableLost: setAside.reduce((sum, segment) => sum + readableIn(segment), 0) + behind(last),
    problems,
  };
}

/** True when `segment` may follow `before` in a log that opens. */
function continues(segment: SurveyedSegment | undefined, before: SurveyedSegment | undefined): boolean {
  if (segment === undefined || before === undefined || segment.gap !== undefined) return false;
  // A gap before `before` is no problem of what follows it: its checkpoint restates what was live.
  return problemsOf({ ...before, gap: undefined }).length === 0;
}

const behind = (segment: SurveyedSegment | undefined): number =>
  segment?.end.kind === 'damaged' ? segment.end.behind.length : 0;

const readableIn = (segment: SurveyedSegment): number => segment.lastLsn + 1 - segment.firstLsn + behind(segment);

/** The plan in sentences, for the human who must agree to it. */
export function describePlan(plan: RepairPlan): string[] {
  if (plan.kind === 'nothing') return ['The log is whole; there is nothing to repair.'];
  const { setAside, cut, keeps, losesAcknowledged, readableLost, problems } = plan;
  const lines = problems.map((problem) => `Damage: ${problem}.`);
  for (const name of setAside) lines.push(`Sets ${name} aside as ${name}.broken.`);
  if (cut) lines.push(`Cuts ${cut.bytes} bytes off ${cut.file} at byte ${cut.offset}, after copying them beside it.`);
  lines.push(keeps ? `Keeps records ${keeps.firstLsn} to ${keeps.lastLsn}.` : 'Keeps no record: a new log begins.');
  if (!losesAcknowledged) return [...lines, 'Loses nothing that was acknowledged.'];
  lines.push(
    `LOSES ACKNOWLEDGED RECORDS: ${readableLost} of them can be read (see \`atomshard wal dump\`), others may not.`,
    'Transactions of before that are still prepared, and whose decision is not among what is kept, will not be presumed',
    'aborted: recovery decides them by what the shards know, or holds them for you.',
  );
  return lines;
}

export interface RepairConsent {
  /** Set only after a human has read `describePlan`. */
  readonly loseAcknowledged: boolean;
}

/**
 * Carries out a plan under the log's lock, after checking that it still fits. Resolves with the files that hold what was
 * taken away. Rejects with WalLockedError, or WalError when the plan needs a consent that was not given or is out of date.
 */
export async function performRepair(directory: string, plan: RepairPlan, consent: RepairConsent): Promise<string[]> {
  if (plan.kind === 'nothing') return [];
  if (plan.losesAcknowledged && !consent.loseAcknowledged) {
    throw new WalError('wal_damaged', 'this repair loses acknowledged records; it needs your explicit consent');
  }
  const storage = new FileStorage(directory);
  try {
    await storage.lock(describeHolder('atomshard wal repair', Date.now()));
    const segments = await surveyLog(storage, false);
    if (JSON.stringify(planFor(segments)) !== JSON.stringify(plan)) {
      throw new WalError('wal_damaged', 'the log has changed since the repair was planned; plan it again');
    }
    // Raised first: a crash from here on leaves a log that is damaged still, or repaired, and believed less either way.
    if (plan.losesAcknowledged) await raiseFirstEpoch(storage, segments);
    const copies: string[] = [];
    if (plan.cut !== undefined) {
      const { file, offset, bytes } = plan.cut;
      copies.push(await keepCopy(storage, file, offset, await storage.read(file, offset, bytes)));
      await storage.cut(file, offset); // crash: a copy more, and the same repair is planned again
    }
    const disk = new NodeDisk(storage.directory);
    for (const name of plan.setAside) {
      disk.rename(name, `${name}.broken`); // crash: some are aside, the same repair is planned for the others
      disk.syncDirectory();
      copies.push(`${name}.broken`);
    }
    return copies;
  } finally {
    await storage.close();
  }
}

async function raiseFirstEpoch(storage: FileStorage, segments: readonly SurveyedSegment[]): Promise<void> {
  const files = await storage.list();
  const left = await readEpoch(storage, files);
  const headers = segments.flatMap(({ header }) => header ?? []);
  const epoch = Math.max(left?.epoch ?? 0, ...headers.map((header) => header.epoch)) + 1;
  const kept = segments.findLast(({ header, checkpoint }) => header !== undefined && checkpoint !== undefined);
  const walId = kept?.header?.walId ?? left?.walId;
  if (walId === undefined) return; // nothing is known of this log, so the next open makes a new one
  await publishEpoch(storage, files, { walId, epoch, firstEpoch: epoch + 1 });
}
