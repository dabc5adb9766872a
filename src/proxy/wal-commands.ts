// `atomshard wal dump | verify | repair | evidence`: what a person, or the operator, sees of a log directory, and the one
// way to change a damaged one. Nothing is changed without a copy, without a plan that was shown, and without a yes.
import { createInterface } from 'node:readline/promises';
import { systemClock } from '../kernel/clock.ts';
import { DECISION_TAG, decodeRecord } from '../transaction/decision-record.ts';
import { dumpEvidence, type EvidenceDump } from '../transaction/evidence-dump.ts';
import { type EvidenceReport, renderEvidence } from '../transaction/evidence-lines.ts';
import { renderTransactionId } from '../transaction/gid.ts';
import { dumpWal } from '../wal/dump.ts';
import { WalError, WalLockedError } from '../wal/errors.ts';
import { holdAtRest } from '../wal/log-at-rest.ts';
import { describePlan, performRepair, planRepair } from '../wal/repair.ts';
import { verifyWal } from '../wal/verify.ts';

const EXIT_REFUSED = 3;

const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

/** Errors a person can act on become one line and an exit code; others go on. */
async function spoken(command: string, run: () => Promise<number>): Promise<number> {
  try {
    return await run();
  } catch (error) {
    const known = error instanceof WalError || (error instanceof Error && 'code' in error);
    if (!known) throw error;
    process.stderr.write(`atomshard wal ${command}: ${error.message}\n`);
    return EXIT_REFUSED;
  }
}

/** A decision record as people read it: transaction ids whole, participants by shard. */
function decodePayload(tag: number, payload: Uint8Array): unknown {
  const known: readonly number[] = Object.values(DECISION_TAG);
  if (!known.includes(tag)) return { tag, bytes: payload.length };
  const record = decodeRecord(tag, payload);
  return 'decision' in record
    ? { ...record.decision, transaction: renderTransactionId(record.decision.transaction) }
    : record;
}

export function walDump(directory: string, options: { json?: boolean }): Promise<number> {
  return spoken('dump', () => dumpWal(directory, say, { json: options.json === true, decode: decodePayload }));
}

export function walVerify(directory: string): Promise<number> {
  return spoken('verify', async () => {
    const report = await verifyWal(directory);
    say(`${directory}: ${report.status}, ${report.segments.length} segments, ${report.records} records`);
    if (report.walId !== undefined) say(`wal id ${report.walId}`);
    if (report.holder !== undefined) say(`in use by ${report.holder}`);
    for (const line of [...report.problems, ...report.notes]) say(line);
    return report.exitCode;
  });
}

export function walRepair(directory: string, options: { yes?: boolean; loseAcknowledged?: boolean }): Promise<number> {
  return spoken('repair', async () => {
    const plan = await planRepair(directory);
    for (const line of describePlan(plan)) say(line);
    if (plan.kind === 'nothing') return 0;
    const loseAcknowledged = options.loseAcknowledged === true;
    if (plan.losesAcknowledged && !loseAcknowledged) {
      say('Nothing was changed. If no better copy exists, run it again with --lose-acknowledged.');
      return EXIT_REFUSED;
    }
    if (options.yes !== true && !(await confirmed())) {
      say('Nothing was changed.');
      return EXIT_REFUSED;
    }
    for (const copy of await performRepair(directory, plan, { loseAcknowledged })) say(`kept: ${copy}`);
    say('The log opens again.');
    return 0;
  });
}

export interface EvidenceOptions {
  /** `<epoch>.<seq>` */
  readonly ids: readonly string[];
  readonly waitSeconds: number;
}

/**
 * What a dead owner's log says, for whoever ends its transactions. The log is locked meanwhile, so a living owner shows:
 * exit code 0 read, 3 locked or not readable; the report says it all either way.
 */
export async function walEvidence(directory: string, { ids, waitSeconds }: EvidenceOptions): Promise<number> {
  const report = await readEvidence(directory, new Set(ids), waitSeconds * 1_000);
  for (const line of renderEvidence(report)) say(line);
  return report.kind === 'read' ? 0 : EXIT_REFUSED;
}

async function readEvidence(directory: string, ids: ReadonlySet<string>, waitMs: number): Promise<EvidenceReport> {
  try {
    const log = await holdAtRest(directory, { holder: 'atomshard wal evidence', clock: systemClock, waitMs });
    if (log === null) return { kind: 'read', dump: noLog(ids), lastHolder: null };
    try {
      return { kind: 'read', dump: await dumpEvidence(log.reader, ids), lastHolder: log.lastHolder ?? null };
    } finally {
      log.release();
    }
  } catch (error) {
    if (error instanceof WalLockedError) return { kind: 'locked', holder: error.holder };
    return { kind: 'unreadable', message: error instanceof Error ? error.message : String(error) };
  }
}

function noLog(ids: ReadonlySet<string>): EvidenceDump {
  const words = new Map([...ids].map((id) => [id, { kind: 'lost' } as const]));
  return { status: 'empty', walId: null, epoch: 0, firstEpoch: 0, problems: [], live: [], words };
}

async function confirmed(): Promise<boolean> {
  if (!process.stdin.isTTY) {
    say('There is nobody to ask; --yes says yes.');
    return false;
  }
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await terminal.question('Do this? [yes/no] ');
  terminal.close();
  return answer.trim().toLowerCase() === 'yes';
}
