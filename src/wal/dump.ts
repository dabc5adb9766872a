// `atomshard wal dump`: the log as text or JSON lines, also of what is behind damage. Read-only, safe beside a live writer.

import type { Checkpoint } from './checkpoint.ts';
import { isLocked } from './directory-lock.ts';
import { FileReader } from './file-storage.ts';
import type { WalRecord } from './format.ts';
import { type SurveyedSegment, surveyLog } from './survey.ts';
import { problemsOf } from './verify.ts';

export interface DumpOptions {
  readonly json: boolean;
  /** Turns an owner's payload into something printable; what the log itself knows is printed without. */
  readonly decode?: (tag: number, payload: Uint8Array) => unknown;
}

/** One printed line. `where` is the segment; `readable: 'behind'` marks a whole record that stands behind damage. */
type DumpLine =
  | {
      readonly kind: 'record';
      readonly where: string;
      readonly readable: 'in order' | 'behind';
      readonly lsn: number;
      readonly tag: number;
      readonly committedAtWrite: number;
      readonly bytes: number;
      readonly content: unknown;
    }
  | { readonly kind: 'segment'; readonly where: string; readonly bytes: number; readonly records: number }
  | { readonly kind: 'problem'; readonly where: string; readonly message: string };

/** Writes one line per record, segment and problem. Resolves with the exit code: 1 when anything is damaged. */
export async function dumpWal(
  directory: string,
  write: (line: string) => void,
  options: DumpOptions = { json: false },
): Promise<number> {
  const print = (line: DumpLine) => write(options.json ? JSON.stringify(line, plain) : asText(line));
  const reader = new FileReader(directory);
  const segments = await surveyLog(reader, isLocked(directory), (where, record, checkpoint) =>
    print(recordLine(where, 'in order', record, checkpoint, options)),
  );
  for (const segment of segments) printSegment(segment, print, options);
  return segments.some((segment) => problemsOf(segment).length > 0) ? 1 : 0;
}

function printSegment(segment: SurveyedSegment, print: (line: DumpLine) => void, options: DumpOptions): void {
  const { name, bytes, firstLsn, lastLsn, end } = segment;
  print({ kind: 'segment', where: name, bytes, records: lastLsn + 1 - firstLsn });
  for (const message of problemsOf(segment)) print({ kind: 'problem', where: name, message });
  if (end.kind === 'torn') {
    print({
      kind: 'problem',
      where: name,
      message: `${name} at byte ${end.offset}: cut short by a crash; open cuts it`,
    });
  }
  if (end.kind !== 'damaged') return;
  for (const record of end.behind) print(recordLine(name, 'behind', record, undefined, options));
}

function recordLine(
  where: string,
  readable: 'in order' | 'behind',
  record: WalRecord,
  checkpoint: Checkpoint | undefined,
  options: DumpOptions,
): DumpLine {
  const { lsn, tag, committedAtWrite, payload } = record;
  const content =
    checkpoint === undefined ? decoded(options, tag, payload) : checkpointContent(options, tag, checkpoint);
  return { kind: 'record', where, readable, lsn, tag, committedAtWrite, bytes: payload.length, content };
}

function checkpointContent(options: DumpOptions, tag: number, { owner, ...positions }: Checkpoint): unknown {
  return { ...positions, owner: decoded(options, tag, owner) };
}

/** A payload that cannot be decoded is shown as bytes: a dump is for bad days. */
function decoded(options: DumpOptions, tag: number, payload: Uint8Array): unknown {
  try {
    if (options.decode !== undefined) return options.decode(tag, payload);
  } catch {
    // shown as bytes below
  }
  return { hex: Buffer.from(payload).toString('hex') };
}

const plain = (_key: string, value: unknown): unknown => {
  if (typeof value === 'bigint') return String(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  return value instanceof Map ? Object.fromEntries(value) : value;
};

function asText(line: DumpLine): string {
  switch (line.kind) {
    case 'record': {
      const { lsn, tag, committedAtWrite, content, readable } = line;
      const mark = readable === 'behind' ? ' [behind damage]' : '';
      return `${lsn} tag=${tag} committed=${committedAtWrite}${mark} ${JSON.stringify(content, plain)}`;
    }
    case 'segment':
      return `-- ${line.where}: ${line.records} records, ${line.bytes} bytes`;
    case 'problem':
      return `!! ${line.message}`;
  }
}
