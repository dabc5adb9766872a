// The log on real files, with its writing thread, in processes that are killed.

import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, describe, expect, it } from 'vitest';
import { FileStorage } from '../../../src/wal/file-storage.ts';
import { WalFailedError, WalLockedError } from '../../../src/wal/wal.ts';
import { mountTmpfs, unmount } from '../../support/tmpfs.ts';
import { type OpenedLog, openLog, TAG, text } from '../../support/wal/log-kit.ts';

const root = mkdtempSync(path.join(os.tmpdir(), 'atomshard-wal-'));
let directories = 0;
const freshDirectory = (): string => path.join(root, String(++directories));
const support = path.resolve(import.meta.dirname, '../../support/wal');

afterAll(() => rmSync(root, { recursive: true, force: true }));

interface Appender {
  readonly pid: number;
  /** Lines `<lsn> <payload>` seen so far. */
  readonly told: string[];
  readonly ready: Promise<void>;
  readonly ended: Promise<number | null>;
  isOver: boolean;
  kill(): void;
}

function startAppender(directory: string, segmentBytes: number, writers: number, hook?: URL): Appender {
  const script = path.join(support, 'appender.ts');
  const given = [directory, String(segmentBytes), String(writers), ...(hook ? [hook.href] : [])];
  const child = spawn(process.execPath, [script, ...given], { stdio: ['ignore', 'pipe', 'inherit'] });
  const told: string[] = [];
  const { promise: ready, resolve } = Promise.withResolvers<void>();
  const lines = createInterface({ input: child.stdout });
  lines.on('line', (line) => (line === 'ready' ? resolve() : told.push(line)));
  const ended = Promise.all([once(child, 'exit'), once(lines, 'close')]).then(() => child.exitCode);
  const appender = { pid: child.pid ?? 0, told, ready, ended, isOver: false, kill: () => void child.kill('SIGKILL') };
  child.on('exit', () => {
    appender.isOver = true;
  });
  return appender;
}

async function read(directory: string): Promise<OpenedLog> {
  const log = await openLog({ directory, segmentBytes: 65_536 });
  await log.opened.close();
  return log;
}

const lines = ({ records }: OpenedLog): Set<string> =>
  new Set(records.map(({ lsn, text: payload }) => `${lsn} ${payload}`));

describe('processes', () => {
  it('kill -9 while it appends, again and again on the same log: every line it printed is found', async () => {
    const directory = freshDirectory();
    const told: string[] = [];
    for (let round = 0; round < 8; round += 1) {
      const appender = startAppender(directory, 16_384, 8);
      await appender.ready;
      const enough = 50 + round * 90;
      while (appender.told.length < enough && !appender.isOver) await new Promise((resolve) => setTimeout(resolve, 2));
      expect(appender.isOver).toBe(false);
      appender.kill();
      await appender.ended;
      told.push(...appender.told);
      const found = lines(await read(directory));
      expect(told.filter((line) => !found.has(line))).toEqual([]);
    }
    expect(told.length).toBeGreaterThan(1000);
  });

  for (const place of ['fsync.before', 'fsync.after'] as const) {
    it(`killed at ${place} in the writing thread: what was printed is found`, async () => {
      const directory = freshDirectory();
      const hook = new URL(`file://${support}/kill-at-sync.ts?place=${place}&nth=25`);
      const appender = startAppender(directory, 1 << 20, 4, hook);
      expect(await appender.ended).toBeNull();
      const log = await read(directory);
      const found = lines(log);
      expect(appender.told.length).toBeGreaterThan(10);
      expect(appender.told.filter((line) => !found.has(line))).toEqual([]);
      // The group that was under way is there (no power was lost), though nobody was told: it is the uncertain suffix.
      expect(log.opened.positions.appended).toBeGreaterThan(log.opened.positions.committed);
      expect(found.size).toBeGreaterThan(appender.told.length);
    });
  }

  it('a second process is refused, and told who holds the log and what to do', async () => {
    const directory = freshDirectory();
    const appender = startAppender(directory, 65_536, 1);
    await appender.ready;
    const refused = await openLog({ directory }).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(WalLockedError);
    expect(String(refused)).toContain(`appender (pid ${appender.pid} on ${os.hostname()}, since 20`);
    expect(String(refused)).toContain('stop that process first');
    appender.kill();
    await appender.ended;
    await read(directory);
  });

  it('the writing thread keeps no process alive after close, and none from exiting before it', () => {
    const module = path.resolve(import.meta.dirname, '../../../src/wal/wal.ts');
    for (const end of ['await wal.close()', 'process.exit(0)']) {
      const program = `
        const { openWal } = await import(${JSON.stringify(module)});
        const opened = await openWal({ directory: ${JSON.stringify(freshDirectory())}, segmentBytes: 65536 }, () => {});
        const wal = await opened.start(new Uint8Array(0));
        await wal.append(16, new Uint8Array(10));
        ${end};
      `;
      const run = spawnSync(process.execPath, ['--input-type=module', '-e', program], { timeout: 20_000 });
      expect({ end, status: run.status, signal: run.signal }).toEqual({ end, status: 0, signal: null });
    }
  });
});

describe('files', () => {
  it('segments and spares are really allocated, not sparse', async () => {
    const directory = freshDirectory();
    const { opened } = await openLog({ directory, segmentBytes: 1 << 20, reserveBytes: 1 << 19 });
    const wal = await opened.start(text('checkpoint'));
    while (!readdirSync(directory).some((name) => /^next.*spare$/.test(name)))
      await new Promise((resolve) => setTimeout(resolve, 5));
    const sizes = readdirSync(directory).map((name) => ({ name, ...statSync(path.join(directory, name)) }));
    for (const { name, size, blocks } of sizes) {
      if (size >= 1 << 19) expect({ name, allocated: blocks * 512 >= size }).toEqual({ name, allocated: true });
    }
    expect(sizes.filter(({ size }) => size >= 1 << 19)).toHaveLength(3);
    await wal.close();
    // A clean end gives back what the last segment did not use.
    const segment = readdirSync(directory).find((name) => name.endsWith('.wal')) ?? '';
    expect(statSync(path.join(directory, segment)).size).toBeLessThan(4096);
  });

  it('what is written by the thread is read back, over many segments and a scan beside appends', async () => {
    const directory = freshDirectory();
    const { opened } = await openLog({ directory, segmentBytes: 65_536 });
    const wal = await opened.start(text('checkpoint'));
    const appended: number[] = [];
    const writer = async (id: number) => {
      for (let turn = 0; turn < 200; turn += 1) appended.push(await wal.append(TAG, text(`${id} ${turn}`.padEnd(100))));
    };
    const scanner = async () => {
      for (let turn = 0; turn < 5; turn += 1) {
        const known = appended.length;
        let seen = 0;
        await wal.scan((record) => {
          if (record.tag === TAG) seen += 1;
        });
        expect(seen).toBeGreaterThanOrEqual(known);
      }
    };
    await Promise.all([...Array.from({ length: 30 }, (_, id) => writer(id)), scanner()]);
    expect(wal.segments().length).toBeGreaterThan(5);
    expect(wal.statistics.records / wal.statistics.groups).toBeGreaterThan(2);
    await wal.close();
    const { records } = await read(directory);
    expect(records.filter((record) => record.tag === TAG).map((record) => record.lsn)).toEqual(
      appended.toSorted((a, b) => a - b),
    );
  });

  it('lazy records and the append behind them are one group: one sync, not two', async () => {
    const { opened } = await openLog({ directory: freshDirectory() });
    const wal = await opened.start(text('checkpoint'));
    for (let turn = 0; turn < 20; turn += 1) {
      const before = wal.statistics;
      wal.appendLazy(TAG, text('END'));
      await wal.append(TAG, text('COMMIT'));
      expect(wal.statistics).toMatchObject({ groups: before.groups + 1, records: before.records + 2 });
    }
    await wal.close();
  });

  it('a record larger than a segment, and groups larger than the shared memory, go through', async () => {
    const directory = freshDirectory();
    const { opened } = await openLog({ directory, segmentBytes: 8192 });
    const wal = await opened.start(text('checkpoint'));
    wal.onCheckpointDue = () => new Uint8Array(3_000_000).fill(7);
    await Promise.all(Array.from({ length: 12 }, () => wal.append(TAG, new Uint8Array(500_000).fill(9))));
    await wal.close();
    const { records } = await read(directory);
    expect(records.filter((record) => record.tag === TAG)).toHaveLength(12);
  });
});

describe('a full disk (a small tmpfs)', () => {
  const directory = freshDirectory();
  const isMounted = mountTmpfs(directory, 2 << 20);
  afterAll(() => {
    if (isMounted) unmount(directory);
  });
  const options = { directory, segmentBytes: 256 * 1024, reserveBytes: 128 * 1024 };

  it.skipIf(!isMounted)(
    'I14: new work is refused in time, decisions under way are written, a restart reads all',
    async () => {
      const { opened } = await openLog(options);
      const wal = await opened.start(text('checkpoint'));
      const told: number[] = [];
      while (wal.admission().ok) {
        // Checked once for each "prepared" transaction, as the coordinator does.
        told.push(...(await Promise.all(Array.from({ length: 20 }, () => wal.append(TAG, text('x'.repeat(400)))))));
        expect(told.length).toBeLessThan(10_000);
      }
      expect(wal.admission()).toMatchObject({ ok: false, reason: `no space left in ${directory}` });
      for (let late = 0; late < 200; late += 1) told.push(await wal.append(TAG, text('late'.padEnd(400))));
      await wal.close();

      const again = await openLog(options);
      const found = new Set(again.records.map((record) => record.lsn));
      expect(told.filter((lsn) => !found.has(lsn))).toEqual([]);
      const second = await again.opened.start(text('checkpoint'));
      await second.append(TAG, text('ends'));

      // Space comes back: the oldest segments go, and new work is admitted.
      await second.prune((segment) => segment.lastLsn > (told.at(-1) ?? 0));
      while (!second.admission().ok) await new Promise((resolve) => setTimeout(resolve, 5));
      await second.append(TAG, text('admitted again'));
      await second.close();
    },
  );

  it.skipIf(!isMounted)('without any space at all an append fails the log, and is never acknowledged', async () => {
    const { opened } = await openLog(options);
    const wal = await opened.start(text('checkpoint'));
    execFileSync('sh', ['-c', `cat /dev/zero > ${directory}/ballast 2>/dev/null || true`]);
    const told: number[] = [];
    const refused = async () => {
      for (;;) told.push(await wal.append(TAG, text('x'.repeat(2000))));
    };
    await expect(refused()).rejects.toBeInstanceOf(WalFailedError);
    expect(await wal.failed).toMatchObject({ cause: { code: 'ENOSPC' } });
    await wal.close();
    rmSync(path.join(directory, 'ballast'));
    const found = new Set((await read(directory)).records.map((record) => record.lsn));
    expect(told.filter((lsn) => !found.has(lsn))).toEqual([]);
    expect(told.length).toBeGreaterThan(10);
  });
});

describe('a failing writing thread', () => {
  it('PgDog 3: an error in the thread rejects the append and fails the log', async () => {
    const directory = freshDirectory();
    const hook = new URL(
      `data:text/javascript,export const syncHook = () => { throw new Error('EIO, says the hook') }`,
    );
    const { opened } = await openLog({ directory, storage: new FileStorage(directory, { syncHook: hook }) });
    const wal = await opened.start(text('checkpoint'));
    await expect(wal.append(TAG, text('r1'))).rejects.toThrow('EIO, says the hook');
    expect(await wal.failed).toBeInstanceOf(WalFailedError);
    await expect(wal.append(TAG, text('r2'))).rejects.toBeInstanceOf(WalFailedError);
    await wal.close();
  });
});
