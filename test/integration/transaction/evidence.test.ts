// What a log at rest says to somebody who is not its owner: the same as to its owner, and of a damaged one only what is readable.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/kernel/clock.ts';
import { DecisionLog } from '../../../src/transaction/decision-log.ts';
import type { CommitDecision } from '../../../src/transaction/decision-record.ts';
import { dumpEvidence } from '../../../src/transaction/evidence-dump.ts';
import { EvidenceLinesError, parseEvidence, renderEvidence } from '../../../src/transaction/evidence-lines.ts';
import { WalLockedError } from '../../../src/wal/errors.ts';
import { FileReader } from '../../../src/wal/file-storage.ts';
import { holdAtRest } from '../../../src/wal/log-at-rest.ts';
import { performRepair, planRepair } from '../../../src/wal/repair.ts';
import { openWal } from '../../../src/wal/wal.ts';

const ROOT = path.resolve(import.meta.dirname, '../../..');
let directory = '';
beforeEach(() => {
  directory = mkdtempSync(path.join(os.tmpdir(), 'atomshard-evidence-'));
});
const opened: DecisionLog[] = [];
afterEach(async () => {
  for (const log of opened.splice(0)) await log.close();
  rmSync(directory, { recursive: true, force: true });
});

async function open(): Promise<DecisionLog> {
  const log = await DecisionLog.open({
    openWal: (onRecord) => openWal({ directory, segmentBytes: 4096, reserveBytes: 4096 }, onRecord),
    clock: systemClock,
  });
  opened.push(log);
  return log;
}

async function close(log: DecisionLog): Promise<void> {
  await log.close();
  opened.splice(opened.indexOf(log), 1);
}

function decision({ identity: { epoch } }: DecisionLog, seq: number): CommitDecision {
  const transaction = { cluster: 'k3x9q', instance: 'proxy-0', epoch, seq };
  const participants = ['shard-0', 'shard-1'].map((shard, i) => {
    const gid = `as1:k3x9q:proxy-0.${epoch}.${seq}::${i}/2:shard-0=${700 + seq}@1,shard-1=${900 + seq}@1`;
    return { shard, gid, xid: `${700 + 200 * i + seq}`, timeline: 1, systemIdentifier: '7312345678901234567' };
  });
  return { transaction, participants, atMs: 1_900_000_000_000 };
}

const id = (log: DecisionLog, seq: number) => `${log.identity.epoch}.${seq}`;
const read = (ids: readonly string[] = []) => dumpEvidence(new FileReader(directory), new Set(ids));
const segments = () => readdirSync(directory).filter((name) => name.endsWith('.wal'));
const liveSeqs = (live: readonly CommitDecision[]) => live.map(({ transaction }) => transaction.seq);

/** Changes one byte of the decision `seq` in the segment that holds its record. */
function damageAt(marker: string, file = segments().find((name) => contentOf(name).includes(marker))): string {
  if (file === undefined) throw new Error(`${marker} is in no segment`);
  const bytes = contentOf(file);
  bytes[bytes.indexOf(marker)] = 0x21;
  writeFileSync(path.join(directory, file), bytes);
  return file;
}
const contentOf = (name: string) => readFileSync(path.join(directory, name));

describe('the evidence of a log at rest', () => {
  it('is what the owner itself would find at its next start: live, ended, never decided, and from before the log', async () => {
    const first = await open();
    for (let seq = 1; seq <= 40; seq += 1) await first.commit(decision(first, seq));
    for (let seq = 1; seq <= 38; seq += 1) first.end(decision(first, seq).transaction);
    await close(first);
    const before = first.identity.epoch - 1;
    const ids = [id(first, 3), id(first, 39), id(first, 77), `${before}.1`, `${first.identity.epoch + 1}.1`];
    const dump = await read(ids);
    expect(dump).toMatchObject({ status: 'whole', walId: first.identity.walId, epoch: first.identity.epoch });
    expect(liveSeqs(dump.live)).toEqual([39, 40]);
    const owner = await open();
    const known = ids.slice(0, 4);
    const words = await owner.lookup(new Set(known));
    for (const key of known) expect([key, dump.words.get(key)]).toEqual([key, withoutLsn(words.get(key), dump, key)]);
    expect([...owner.live()]).toEqual(dump.live);
    // A run that the log never saw: its own log is another one.
    expect(dump.words.get(ids[4] ?? '')).toEqual({ kind: 'lost' });
  });

  it('a write that a crash cut short is not a decision, and is left as it is', async () => {
    const log = await open();
    await log.commit(decision(log, 1));
    await close(log);
    const file = segments().at(-1) ?? '';
    const bytes = contentOf(file).length;
    truncateSync(path.join(directory, file), bytes - 9);
    const dump = await read([id(log, 1)]);
    expect(dump).toMatchObject({ status: 'torn', live: [] });
    expect(dump.words.get(id(log, 1))).toEqual({ kind: 'none-above-watermark' });
    expect(contentOf(file)).toHaveLength(bytes - 9);
  });

  it('of a damaged log a decision that is readable counts, and an id without one is damaged, never undecided', async () => {
    const log = await open();
    for (let seq = 1; seq <= 60; seq += 1) await log.commit(decision(log, seq));
    await close(log);
    expect(segments().length).toBeGreaterThan(3);
    const file = damageAt(`.${log.identity.epoch}.2::0/2`, segments()[0]);
    const dump = await read([id(log, 1), id(log, 60), id(log, 77), `${log.identity.epoch - 1}.1`]);
    expect(dump.status).toBe('damaged');
    expect(dump.problems.join()).toContain(file);
    expect(dump.words.get(id(log, 1))?.kind).toBe('commit');
    expect(dump.words.get(id(log, 60))?.kind).toBe('commit');
    expect(dump.words.get(id(log, 77))).toEqual({ kind: 'damaged' });
    expect(dump.words.get(`${log.identity.epoch - 1}.1`)).toEqual({ kind: 'lost' });
    await performRepair(directory, await planRepair(directory), { loseAcknowledged: true });
    const repaired = await read([id(log, 77)]);
    expect(repaired.status).toBe('whole');
    expect(repaired.words.get(id(log, 77))).toEqual({ kind: 'lost' });
  });

  it('a whole record behind the damage still says what was decided', async () => {
    const log = await open();
    for (let seq = 1; seq <= 3; seq += 1) await log.commit(decision(log, seq));
    await close(log);
    damageAt(`.${log.identity.epoch}.2::0/2`);
    const dump = await read([id(log, 2), id(log, 3)]);
    expect(dump.status).toBe('damaged');
    expect(dump.words.get(id(log, 2))).toEqual({ kind: 'damaged' });
    expect(dump.words.get(id(log, 3))?.kind).toBe('commit');
  });

  it('segments that are gone are a lost log, whatever epoch file is left', async () => {
    const log = await open();
    await log.commit(decision(log, 1));
    await close(log);
    for (const name of segments()) rmSync(path.join(directory, name));
    const dump = await read([id(log, 1)]);
    expect(dump).toMatchObject({ status: 'empty', walId: null, epoch: log.identity.epoch, live: [] });
    expect(dump.words.get(id(log, 1))).toEqual({ kind: 'lost' });
  });

  it('an owner that lives is noticed by its lock, and one that goes in time is waited for', async () => {
    const log = await open();
    const options = { holder: 'a test', clock: systemClock };
    await expect(holdAtRest(directory, options)).rejects.toThrow(WalLockedError);
    const later = holdAtRest(directory, { ...options, waitMs: 10_000 });
    await close(log);
    const held = await later;
    expect(held?.lastHolder).toContain('atomshard');
    // And while it is read, the owner cannot come back.
    await expect(open()).rejects.toThrow(WalLockedError);
    held?.release();
    await close(await open());
    expect(await holdAtRest(path.join(directory, 'nowhere'), options)).toBeNull();
  });
});

describe('the lines of a report', () => {
  it('come back as they went, and `wal evidence` prints them', async () => {
    const log = await open();
    for (let seq = 1; seq <= 3; seq += 1) await log.commit(decision(log, seq));
    log.end(decision(log, 2).transaction);
    await close(log);
    const ids = [id(log, 2), id(log, 9)];
    const dump = await read(ids);
    expect(parseEvidence(renderEvidence({ kind: 'read', dump, lastHolder: 'x' }).join('\n'))).toEqual({
      kind: 'read',
      dump,
      lastHolder: 'x',
    });
    const { stdout, status } = evidenceCommand(directory, ids);
    expect(status).toBe(0);
    const printed = parseEvidence(`(node:1) a warning\n${stdout}`);
    expect(printed).toMatchObject({ kind: 'read', dump });
  });

  it('say who holds the log that is in use', async () => {
    await open();
    const { stdout, status } = evidenceCommand(directory, []);
    expect(status).toBe(3);
    expect(parseEvidence(stdout)).toMatchObject({ kind: 'locked', holder: expect.stringContaining('atomshard (pid') });
  });

  it('are refused when the end is missing, or a line is', async () => {
    const log = await open();
    await log.commit(decision(log, 1));
    await close(log);
    const lines = renderEvidence({ kind: 'read', dump: await read([id(log, 1)]), lastHolder: null });
    expect(() => parseEvidence(lines.slice(0, -1).join('\n'))).toThrow(EvidenceLinesError);
    expect(() => parseEvidence(lines.toSpliced(1, 1).join('\n'))).toThrow(EvidenceLinesError);
    expect(() => parseEvidence('')).toThrow(EvidenceLinesError);
  });
});

function evidenceCommand(where: string, ids: readonly string[]) {
  const main = path.join(ROOT, 'src/main.ts');
  return spawnSync(process.execPath, [main, 'wal', 'evidence', where, `--ids=${ids.join(',')}`], { encoding: 'utf8' });
}

/** The owner's answer; its live decisions may have moved to a checkpoint of its own, so their lsn is another. */
function withoutLsn(word: unknown, { words }: Awaited<ReturnType<typeof read>>, key: string): unknown {
  const mine = words.get(key);
  return mine?.kind === 'commit' && typeof word === 'object' ? { ...word, lsn: mine.lsn } : word;
}
