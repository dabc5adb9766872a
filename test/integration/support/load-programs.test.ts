// The three programs of the load's pod as a cluster runs them, against real shards and a real proxy on this machine.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CrashRig } from '../../crash/rig.ts';
import { type LoadOrder, OUTBOX_FILES } from '../../e2e/load/files.ts';
import type { Reckoning, ReckonOrder } from '../../e2e/load/reckoning.ts';

const PROGRAMS = path.resolve(import.meta.dirname, '../../e2e/load');
const ENTRY = [path.resolve(import.meta.dirname, '../../crash/proxy-with-control-points.ts')];
const SEED = 61;

describe('the programs of the load', () => {
  let rig: CrashRig;
  let folder: string;
  const children: ChildProcess[] = [];

  const environment = () => ({
    ...process.env,
    LOAD_URL: rig.proxy.url('postgres'),
    SHARD_URLS: JSON.stringify(rig.shards.shards.map((shard) => ({ name: shard.name, url: shard.url() }))),
  });

  function startProgram(name: string, argument: string): ChildProcess {
    const child = spawn(process.execPath, [path.join(PROGRAMS, name), argument], {
      env: environment(),
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    children.push(child);
    return child;
  }

  const startLoad = () => {
    const order: LoadOrder = {
      folder,
      accounts: 60,
      initialBalance: 500,
      clients: 6,
      legsMax: 4,
      restMs: 5,
      leaveChance: 0.05,
      answerTimeoutMs: 30_000,
      seed: SEED,
    };
    return startProgram('load.ts', JSON.stringify(order));
  };

  async function reckon(order: Partial<ReckonOrder>): Promise<Reckoning> {
    const whole = { folder, pauseTimeoutMs: 20_000, drainTimeoutMs: 20_000, resume: true, faults: [], ...order };
    const argv = [path.join(PROGRAMS, 'reckon.ts'), JSON.stringify(whole)];
    const { stdout } = await promisify(execFile)(process.execPath, argv, { env: environment() });
    return JSON.parse(stdout) as Reckoning;
  }

  async function untilAcknowledged(count: number): Promise<void> {
    for (let tries = 0; tries < 400; tries++) {
      await sleep(50);
      try {
        const text = readFileSync(path.join(folder, OUTBOX_FILES.outbox), 'utf8');
        if (text.split('"as":"acknowledged"').length > count) return;
      } catch {
        // Not opened yet.
      }
    }
    throw new Error(`never ${count} acknowledged`);
  }

  beforeAll(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'load-'));
    rig = await CrashRig.start({ shards: 3, clients: 1, seed: SEED, accounts: 2, initialBalance: 1, entry: ENTRY });
    startProgram('observer.ts', folder);
  });
  afterAll(async () => {
    for (const child of children) child.kill('SIGKILL');
    await rig[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  });

  it('find what a proxy killed between its decision and COMMIT PREPARED left, how it ended, and that all is whole', async () => {
    startLoad();
    await untilAcknowledged(200);
    rig.proxy.tell({ point: 'commit.before', participant: 1, skip: 3, signal: 'SIGKILL' });
    await rig.proxy.exited;
    const atMs = Date.now();
    await sleep(400);
    await rig.restartProxy();
    await sleep(500);
    const reckoning = await reckon({ faults: [{ atMs, instances: ['proxy-0'] }] });
    expect(reckoning).toMatchObject({ paused: true, drained: true, loadStarts: 1, hangs: 0 });
    expect(reckoning.verdict, JSON.stringify(reckoning)).toMatchObject({ sound: true, torn: [] });
    expect(reckoning.told.acknowledged).toBeGreaterThan(200);
    const [fault] = reckoning.faults;
    const [run] = fault?.runs ?? [];
    expect(run?.counts).toMatchObject({ mixed: 0, left: 0 });
    expect(run?.counts.committed, 'the one at the control point was decided').toBeGreaterThan(0);
    expect(run?.resolvedAfterMs).toBeGreaterThan(350);
    expect(fault?.pauses?.worstMs).toBeGreaterThan(350);
  });

  it('go on in the same outbox after the load itself was killed, and convict when a row is taken away', async () => {
    const [, first] = children;
    first?.kill('SIGKILL');
    if (first !== undefined) await once(first, 'exit');
    const before = readFileSync(path.join(folder, OUTBOX_FILES.outbox), 'utf8').split('"as":"acknowledged"').length;
    startLoad();
    await untilAcknowledged(before + 100);
    const sound = await reckon({ resume: false });
    expect(sound.loadStarts).toBe(2);
    expect(sound.verdict, JSON.stringify(sound)).toMatchObject({ sound: true });
    await rig.shards.query(0, 'DELETE FROM transfers WHERE ctid = (SELECT max(ctid) FROM transfers WHERE amount <> 0)');
    const { verdict } = await reckon({ resume: false });
    expect(verdict.sound).toBe(false);
    expect(verdict.unbalanced).toHaveLength(1);
  });

  it('end when they are told to', async () => {
    const last = children.at(-1);
    writeFileSync(path.join(folder, OUTBOX_FILES.ended), '');
    if (last !== undefined && last.exitCode === null) await once(last, 'exit');
    expect(last?.exitCode).toBe(0);
    expect(readFileSync(path.join(folder, OUTBOX_FILES.state), 'utf8')).toContain('"state":"ended"');
  });
});
