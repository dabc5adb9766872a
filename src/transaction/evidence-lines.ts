// An evidence dump as JSON lines, written by `atomshard wal evidence` in a Job and read from that Job's log. The last line
// counts the others: a log that lost its end, or has somebody else's lines in it, is refused as a whole.
import { z } from 'zod';
import type { EvidenceDump } from './evidence-dump.ts';

const VERSION = 1;

/** What became of the attempt to read. */
export type EvidenceReport =
  | { readonly kind: 'read'; readonly dump: EvidenceDump; readonly lastHolder: string | null }
  /** A process holds the lock, so the owner lives. */
  | { readonly kind: 'locked'; readonly holder: string }
  /** The log is there and says nothing: not readable by this version, or by this process. */
  | { readonly kind: 'unreadable'; readonly message: string };

/** Not a whole report; `message` says what was found instead. */
export class EvidenceLinesError extends Error {
  override readonly name = 'EvidenceLinesError';
}

const natural = z.number().int().min(0);
const participant = z.strictObject({
  shard: z.string(),
  gid: z.string(),
  xid: z.string(),
  timeline: natural,
  systemIdentifier: z.string(),
  lsn: z.string().exactOptional(),
});
const decision = z.strictObject({
  transaction: z.strictObject({ cluster: z.string(), instance: z.string(), epoch: natural, seq: natural }),
  participants: z.array(participant),
  atMs: natural,
});
const line = z.discriminatedUnion('line', [
  z.strictObject({
    line: z.literal('log'),
    version: z.literal(VERSION),
    status: z.enum(['whole', 'torn', 'damaged', 'empty']),
    walId: z.string().nullable(),
    epoch: natural,
    firstEpoch: natural,
    problems: z.array(z.string()),
    lastHolder: z.string().nullable(),
  }),
  z.strictObject({ line: z.literal('locked'), version: z.literal(VERSION), holder: z.string() }),
  z.strictObject({ line: z.literal('unreadable'), version: z.literal(VERSION), message: z.string() }),
  z.strictObject({ line: z.literal('live'), decision }),
  z.strictObject({
    line: z.literal('commit'),
    id: z.string(),
    lsn: natural,
    committed: z.boolean(),
    ended: z.boolean(),
    decision,
  }),
  z.strictObject({
    line: z.literal('word'),
    id: z.string(),
    kind: z.enum(['abort', 'none-above-watermark', 'below-watermark', 'lost', 'damaged']),
  }),
  z.strictObject({ line: z.literal('end'), lines: natural }),
]);
type Line = z.infer<typeof line>;

/** The lines of a report, without line breaks. */
export function renderEvidence(report: EvidenceReport): string[] {
  const lines = linesOf(report);
  return [...lines, { line: 'end', lines: lines.length } as const].map((one: Line) => JSON.stringify(one));
}

function linesOf(report: EvidenceReport): Line[] {
  switch (report.kind) {
    case 'locked':
      return [{ line: 'locked', version: VERSION, holder: report.holder }];
    case 'unreadable':
      return [{ line: 'unreadable', version: VERSION, message: report.message }];
    case 'read': {
      const { words, live, problems, ...log } = report.dump;
      return [
        { line: 'log', version: VERSION, ...log, problems: [...problems], lastHolder: report.lastHolder },
        ...live.map((one): Line => ({ line: 'live', decision: copied(one) })),
        ...[...words].map(([id, word]): Line => {
          if (word.kind !== 'commit') return { line: 'word', id, kind: word.kind };
          const { lsn, committed, ended } = word;
          return { line: 'commit', id, lsn, committed, ended, decision: copied(word.decision) };
        }),
      ];
    }
  }
}

function copied({ transaction, participants, atMs }: EvidenceDump['live'][number]): z.infer<typeof decision> {
  return { transaction, participants: [...participants], atMs };
}

/** Reads a report back. Lines that are not JSON objects with `line` (a runtime's warnings) are skipped. Throws {@link EvidenceLinesError}. */
export function parseEvidence(text: string): EvidenceReport {
  const lines = text.split('\n').flatMap(parseLine);
  const end = lines.at(-1);
  const [first, ...rest] = lines.slice(0, -1);
  if (end?.line !== 'end' || end.lines !== lines.length - 1 || first === undefined) {
    throw new EvidenceLinesError(`the report is not whole: ${lines.length} lines, the last is ${end?.line ?? 'none'}`);
  }
  switch (first.line) {
    case 'locked':
      return { kind: 'locked', holder: first.holder };
    case 'unreadable':
      return { kind: 'unreadable', message: first.message };
    case 'log':
      return { kind: 'read', dump: dumpOf(first, rest), lastHolder: first.lastHolder };
    default:
      throw new EvidenceLinesError(`the report begins with a line "${first.line}"`);
  }
}

function parseLine(text: string): Line[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return [];
  }
  if (typeof value !== 'object' || value === null || !('line' in value)) return [];
  const parsed = line.safeParse(value);
  if (parsed.success) return [parsed.data];
  throw new EvidenceLinesError(`a line that this version does not know: ${text.slice(0, 200)}`);
}

function dumpOf(first: Extract<Line, { line: 'log' }>, rest: readonly Line[]): EvidenceDump {
  const { status, walId, epoch, firstEpoch, problems } = first;
  const live: EvidenceDump['live'][number][] = [];
  const words = new Map<string, EvidenceDump['words'] extends ReadonlyMap<string, infer Word> ? Word : never>();
  for (const one of rest) {
    if (one.line === 'live') live.push(one.decision);
    else if (one.line === 'word') words.set(one.id, { kind: one.kind });
    else if (one.line === 'commit') {
      const { lsn, committed, ended } = one;
      words.set(one.id, { kind: 'commit', decision: one.decision, lsn, committed, ended });
    } else throw new EvidenceLinesError(`a line "${one.line}" in the middle of the report`);
  }
  return { status, walId, epoch, firstEpoch, problems, live, words };
}
