// The tools for bad days, on real files: they say what is there, change nothing unasked, and copy before they cut.

import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { dumpWal } from '../../../src/wal/dump.ts';
import { describePlan, performRepair, planRepair } from '../../../src/wal/repair.ts';
import { verifyWal } from '../../../src/wal/verify.ts';
import { WalDamageError } from '../../../src/wal/wal.ts';
import { openLog, TAG, text, untext } from '../../support/wal/log-kit.ts';

const root = mkdtempSync(path.join(os.tmpdir(), 'atomshard-wal-tools-'));
let directories = 0;
const freshDirectory = (): string => path.join(root, String(++directories));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const SIZES = { segmentBytes: 1024, reserveBytes: 1024 };

/** A closed log of `r1` … `r<count>` over several segments. */
async function makeLog(count: number): Promise<{ directory: string; epoch: number }> {
  const directory = freshDirectory();
  const { opened } = await openLog({ directory, ...SIZES });
  const wal = await opened.start(text('checkpoint'));
  for (let index = 1; index <= count; index += 1) await wal.append(TAG, text(`r${index}`));
  await wal.close();
  return { directory, epoch: opened.identity.epoch };
}

const segments = (directory: string): string[] =>
  readdirSync(directory)
    .filter((name) => name.endsWith('.wal'))
    .toSorted();

const contents = (directory: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(directory)
      .filter((name) => name !== 'lock')
      .map((name) => [name, readFileSync(path.join(directory, name)).toString('hex')]),
  );

/** Changes one letter of a payload that is in the log once. */
function damage(directory: string, name: string, payload: string): void {
  const file = path.join(directory, name);
  const bytes = readFileSync(file);
  const at = bytes.indexOf(payload);
  if (at < 0) throw new Error(`${payload} is not in ${name}`);
  bytes[at] = 0x21;
  writeFileSync(file, bytes);
}

async function dumped(directory: string, json = false): Promise<{ lines: string[]; exitCode: number }> {
  const lines: string[] = [];
  const exitCode = await dumpWal(directory, (line) => lines.push(line), { json, decode: (_, bytes) => untext(bytes) });
  return { lines, exitCode };
}

describe('verify and dump', () => {
  it('a whole log is whole, and looking changes nothing', async () => {
    const { directory } = await makeLog(40);
    const before = contents(directory);
    const report = await verifyWal(directory);
    expect(report).toMatchObject({ status: 'whole', exitCode: 0, problems: [], notes: [], holder: undefined });
    expect(report.records).toBe(40 + report.segments.length);
    const { lines, exitCode } = await dumped(directory);
    expect(exitCode).toBe(0);
    expect(lines.filter((line) => / tag=16 /.test(line))).toHaveLength(40);
    expect(lines[1]).toBe('2 tag=16 committed=1 "r1"');
    expect(await planRepair(directory)).toEqual({ kind: 'nothing' });
    expect(contents(directory)).toEqual(before);
  });

  it('a dump into a pipe that is read slowly arrives whole', async () => {
    const { directory } = await makeLog(6_000);
    const main = path.resolve(import.meta.dirname, '../../../src/main.ts');
    // The shell's reader sleeps while the pipe is full.
    const command = '"$0" "$1" wal dump "$2" --json | { sleep 2; cat; }';
    const { stdout } = await promisify(execFile)('sh', ['-c', command, process.execPath, main, directory], {
      maxBuffer: 64 * 1024 * 1024,
    });
    const lines = stdout.trimEnd().split('\n');
    expect(lines.filter((line) => line.includes('"tag":16'))).toHaveLength(6_000);
    expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({ where: expect.stringContaining('.wal') as string });
  });

  it('beside a live writer they read what is there, name the writer, and do not call a moving end torn', async () => {
    const { directory } = await makeLog(3);
    const { opened } = await openLog({ directory, ...SIZES, holder: 'the proxy' });
    const wal = await opened.start(text('checkpoint'));
    await wal.append(TAG, text('live'));
    const report = await verifyWal(directory);
    expect(report).toMatchObject({ status: 'whole', exitCode: 0, holder: expect.stringContaining('the proxy (pid') });
    const { lines, exitCode } = await dumped(directory, true);
    expect(exitCode).toBe(0);
    expect(lines.map((line) => JSON.parse(line)).find(({ content }) => content === 'live')).toMatchObject({ tag: TAG });
    // Half a record at the end, as a reader may catch it while the writer writes.
    const name = segments(directory).at(-1) ?? '';
    const file = path.join(directory, name);
    const bytes = readFileSync(file);
    const end = bytes.findLastIndex((byte) => byte !== 0) + 8;
    bytes.write('29000000d6ffffff66515d1811', end - (end % 8), 'hex');
    writeFileSync(file, bytes);
    const moving = await verifyWal(directory);
    expect(moving).toMatchObject({ status: 'whole', problems: [] });
    expect(moving.notes[0]).toContain(`${name} is being written`);
    await wal.append(TAG, text('undisturbed'));
    await wal.close();
  });

  it('damage is named with file and offset, and the dump goes on behind it', async () => {
    const { directory } = await makeLog(40);
    const [first = ''] = segments(directory);
    damage(directory, first, 'r3');
    const report = await verifyWal(directory);
    expect(report).toMatchObject({ status: 'damaged', exitCode: 1 });
    expect(report.problems[0]).toMatch(
      new RegExp(`^${first} at byte \\d+: the checksum.*; \\d+ whole records are behind`),
    );
    const { lines, exitCode } = await dumped(directory);
    expect(exitCode).toBe(1);
    expect(lines.filter((line) => / tag=16 /.test(line))).toHaveLength(39);
    expect(lines.some((line) => line.includes('[behind damage] "r4"'))).toBe(true);
  });

  it('a directory without a log is said to be empty', async () => {
    const directory = freshDirectory();
    const { opened } = await openLog({ directory });
    await opened.close();
    expect(await verifyWal(directory)).toMatchObject({ status: 'empty', exitCode: 2 });
  });
});

describe('repair', () => {
  it('of an older segment keeps what later checkpoints restate, and presumes nothing about before', async () => {
    const { directory, epoch } = await makeLog(80);
    const names = segments(directory);
    damage(directory, names[1] ?? '', 'r25');
    const plan = await planRepair(directory);
    expect(plan).toMatchObject({
      kind: 'repair',
      losesAcknowledged: true,
      setAside: names.slice(0, 2),
      cut: undefined,
    });
    expect(describePlan(plan).join('\n')).toContain('LOSES ACKNOWLEDGED RECORDS');
    const before = contents(directory);
    await expect(performRepair(directory, plan, { loseAcknowledged: false })).rejects.toThrow('explicit consent');
    expect(contents(directory)).toEqual(before);
    const copies = await performRepair(directory, plan, { loseAcknowledged: true });
    expect(copies).toEqual(names.slice(0, 2).map((name) => `${name}.broken`));
    const { opened, records } = await openLog({ directory, ...SIZES });
    expect(records.at(-1)?.text).toBe('r80');
    // Below the first epoch "no record" proves nothing.
    expect(opened.identity.epoch).toBeGreaterThan(epoch);
    expect(opened.identity.firstEpoch).toBe(opened.identity.epoch);
    const wal = await opened.start(text('checkpoint'));
    await wal.close();
    // And so it stays.
    const again = await openLog({ directory, ...SIZES });
    expect(again.opened.identity.firstEpoch).toBe(opened.identity.firstEpoch);
    await again.opened.close();
  });

  it('of the last segment keeps everything before the damage and a copy of the rest', async () => {
    const { directory } = await makeLog(10);
    const name = segments(directory).at(-1) ?? '';
    const original = readFileSync(path.join(directory, name));
    damage(directory, name, 'r9');
    const refused = await openLog({ directory }).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(WalDamageError);
    const plan = await planRepair(directory);
    if (plan.kind !== 'repair' || plan.cut === undefined) throw new Error('expected a cut');
    expect(plan).toMatchObject({ losesAcknowledged: true, setAside: [], readableLost: 1, keeps: { lastLsn: 9 } });
    const [copy = ''] = await performRepair(directory, plan, { loseAcknowledged: true });
    expect(readFileSync(path.join(directory, copy))).toHaveLength(original.length - plan.cut.offset);
    const { opened, records } = await openLog({ directory });
    expect(records.at(-1)?.text).toBe('r8');
    expect(opened.identity.firstEpoch).toBe(opened.identity.epoch);
    await opened.close();
  });

  it('of a header keeps the segments before it', async () => {
    const { directory } = await makeLog(40);
    const names = segments(directory);
    const last = names.at(-1) ?? '';
    const bytes = readFileSync(path.join(directory, last));
    writeFileSync(path.join(directory, last), bytes.fill(0, 0, 64));
    const plan = await planRepair(directory);
    expect(plan).toMatchObject({ losesAcknowledged: true, setAside: [last], cut: undefined });
    await performRepair(directory, plan, { loseAcknowledged: true });
    const { opened, records } = await openLog({ directory });
    expect(records[0]?.lsn).toBe(1);
    await opened.close();
  });

  it('of a torn write needs no consent, and loses no acknowledged record', async () => {
    const { directory, epoch } = await makeLog(3);
    const [name = ''] = segments(directory);
    const file = path.join(directory, name);
    writeFileSync(file, Buffer.concat([readFileSync(file), Buffer.from('29000000d6ffffff66515d1811', 'hex')]));
    expect(await verifyWal(directory)).toMatchObject({ status: 'torn', exitCode: 0 });
    const plan = await planRepair(directory);
    expect(plan).toMatchObject({ kind: 'repair', losesAcknowledged: false, setAside: [], problems: [] });
    expect(describePlan(plan).at(-1)).toBe('Loses nothing that was acknowledged.');
    await performRepair(directory, plan, { loseAcknowledged: false });
    expect(await verifyWal(directory)).toMatchObject({ status: 'whole' });
    const { opened } = await openLog({ directory });
    expect(opened.identity).toMatchObject({ firstEpoch: epoch, epoch: epoch + 1 });
    await opened.close();
  });

  it('is not carried out on a log that has changed since, or that is in use', async () => {
    const { directory } = await makeLog(10);
    const name = segments(directory).at(-1) ?? '';
    damage(directory, name, 'r9');
    const plan = await planRepair(directory);
    damage(directory, name, 'r7');
    await expect(performRepair(directory, plan, { loseAcknowledged: true })).rejects.toThrow('plan it again');
    const copy = freshDirectory();
    const whole = await makeLog(3);
    cpSync(whole.directory, copy, { recursive: true });
    const { opened } = await openLog({ directory: copy });
    await expect(performRepair(copy, plan, { loseAcknowledged: true })).rejects.toThrow('is in use by');
    await opened.close();
  });
});
