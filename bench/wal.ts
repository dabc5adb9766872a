// The log beside the least that could do its work: a bare loop that writes the same bytes and syncs as often.

import { closeSync, fdatasyncSync, openSync, readdirSync, readSync, rmSync, statSync, writeSync } from 'node:fs';
import path from 'node:path';
import { crc32c } from '@node-rs/crc32';
import { openWal, type Wal } from '../src/wal/wal.ts';
import { logDirectory } from './rig.ts';

/** About what a COMMIT record of two participants takes. */
const PAYLOAD = new Uint8Array(120).fill(0x61);
const TAG = 16;
const RECORD_BYTES = 160;
const MIB = 1024 * 1024;

const print = (line: Record<string, unknown>) => process.stdout.write(`${JSON.stringify(line)}\n`);
const round = (value: number, digits = 2): number => Number(value.toFixed(digits));
const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

async function newLog(name: string): Promise<{ wal: Wal; directory: string }> {
  const directory = logDirectory(name);
  const opened = await openWal({ directory }, () => undefined);
  const wal = await opened.start(new Uint8Array(0));
  // The spares are being zeroed in the background; they are not what is measured.
  while (readdirSync(directory).filter((file) => file.endsWith('.spare')).length < 2) await pause();
  return { wal, directory };
}

const pause = () => new Promise((resolve) => setTimeout(resolve, 20));

interface Run {
  readonly perSecond: number;
  readonly groups: number;
  readonly perGroup: number;
}

/** `writers` closed loops append `count` records in all. */
async function appendRun(wal: Wal, writers: number, count: number): Promise<Run> {
  const before = wal.statistics;
  let left = count;
  const writer = async () => {
    while (left-- > 0) await wal.append(TAG, PAYLOAD);
  };
  const startedMs = performance.now();
  await Promise.all(Array.from({ length: writers }, writer));
  const elapsedMs = performance.now() - startedMs;
  const groups = wal.statistics.groups - before.groups;
  return { perSecond: (count / elapsedMs) * 1000, groups, perGroup: count / groups };
}

/** The same bytes into a file that is already allocated, with as many writes and fdatasyncs, and nothing else. */
function bareRun(directory: string, count: number, groups: number): number {
  const file = path.join(directory, 'bare');
  const fd = openSync(file, 'w');
  const bytes = new Uint8Array(Math.ceil((count * RECORD_BYTES) / groups)).fill(0x62);
  const zeros = new Uint8Array(MIB);
  for (let at = 0; at < groups * bytes.length; at += MIB) writeSync(fd, zeros, 0, MIB, at);
  fdatasyncSync(fd);
  const startedMs = performance.now();
  for (let group = 0; group < groups; group += 1) {
    writeSync(fd, bytes, 0, bytes.length, group * bytes.length);
    fdatasyncSync(fd);
  }
  const elapsedMs = performance.now() - startedMs;
  closeSync(fd);
  rmSync(file);
  return (count / elapsedMs) * 1000;
}

async function benchGroup(quick: boolean): Promise<void> {
  for (const writers of [1, 16, 100]) {
    const { wal, directory } = await newLog('wal');
    const count = (quick ? 10_000 : 20_000) / (writers === 1 ? 10 : 1);
    await appendRun(wal, writers, Math.ceil(count / 5)); // warm
    const ours: Run[] = [];
    const bare: number[] = [];
    for (let turn = 0; turn < (quick ? 9 : 25); turn += 1) {
      // Short turns side by side, because the disk is shared and its speed wanders.
      const run = await appendRun(wal, writers, count);
      ours.push(run);
      bare.push(bareRun(directory, count, run.groups));
    }
    await wal.close();
    // The best of each: what else the machine does only ever takes time away.
    const appendsPerSecond = Math.max(...ours.map((run) => run.perSecond));
    const barePerSecond = Math.max(...bare);
    print({
      bench: 'wal.group',
      ratio: round(appendsPerSecond / barePerSecond),
      goal: 0.8,
      writers,
      decisionsPerSync: round(median(ours.map((run) => run.perGroup)), 1),
      appendsPerSecond: Math.round(appendsPerSecond),
      barePerSecond: Math.round(barePerSecond),
      medianRatio: round(median(ours.map((run, turn) => run.perSecond / (bare[turn] ?? 0)))),
    });
  }
}

/** Time of one append when nobody else appends, beside one bare write and fdatasync. */
async function benchLatency(quick: boolean): Promise<void> {
  const { wal, directory } = await newLog('wal');
  const count = quick ? 1000 : 5000;
  const append: number[] = [];
  for (let turn = 0; turn < count; turn += 1) {
    const startedMs = performance.now();
    await wal.append(TAG, PAYLOAD);
    append.push(performance.now() - startedMs);
  }
  await wal.close();
  const bareUs = (1 / bareRun(directory, count, count)) * 1e6;
  const at = (share: number) => round((append.toSorted((a, b) => a - b)[Math.floor(count * share)] ?? 0) * 1000, 0);
  print({
    bench: 'wal.latency',
    ratio: round(at(0.5) / bareUs),
    p50Us: at(0.5),
    p99Us: at(0.99),
    bareMeanUs: round(bareUs, 0),
  });
}

/** Open and replay beside reading the same files and checksumming the same records. */
async function benchReplay(quick: boolean): Promise<void> {
  const { wal, directory } = await newLog('wal');
  const count = quick ? 200_000 : 1_000_000;
  await appendRun(wal, 1000, count);
  await wal.close();
  const readMs: number[] = [];
  const openedMs: number[] = [];
  for (let turn = 0; turn < 7; turn += 1) {
    readMs.push(readAndChecksum(directory));
    let records = 0;
    const startedMs = performance.now();
    const opened = await openWal({ directory }, () => {
      records += 1;
    });
    const elapsedMs = performance.now() - startedMs;
    await opened.close();
    if (records < count) throw new Error(`only ${records} records came back`);
    openedMs.push(elapsedMs);
  }
  // The best of each: what else the machine does only ever adds time.
  const [bareMs, openMs] = [Math.min(...readMs), Math.min(...openedMs)];
  print({
    bench: 'wal.replay',
    ratio: round(openMs / bareMs),
    goal: 1.5,
    records: count,
    openMs: round(openMs, 0),
    readAndChecksumMs: round(bareMs, 0),
    recordsPerSecond: Math.round((count / openMs) * 1000),
  });
}

function readAndChecksum(directory: string): number {
  const names = readdirSync(directory).filter((name) => name.endsWith('.wal'));
  const startedMs = performance.now();
  const piece = new Uint8Array(MIB);
  for (const name of names) {
    const fd = openSync(path.join(directory, name), 'r');
    const { size } = statSync(path.join(directory, name));
    for (let at = 0; at < size; at += MIB) {
      const length = readSync(fd, piece, 0, MIB, at);
      for (let from = 0; from + RECORD_BYTES <= length; from += RECORD_BYTES) {
        crc32c(piece.subarray(from + 12, from + RECORD_BYTES - 7));
      }
    }
    closeSync(fd);
  }
  return performance.now() - startedMs;
}

/** Prints JSON lines: `wal.group` per number of writers, `wal.latency`, `wal.replay` (a time ratio: lower is better). */
export async function benchWal(options: { quick: boolean }): Promise<void> {
  await benchGroup(options.quick);
  await benchLatency(options.quick);
  await benchReplay(options.quick);
  rmSync(logDirectory('wal'), { recursive: true });
}
