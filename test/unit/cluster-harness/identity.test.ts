// Only what the harness started is ever signalled: by pid and start time together.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import {
  identityOf,
  isAlive,
  killExactly,
  readIdentity,
  withLock,
  writeIdentity,
} from '../../cluster/harness/identity.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'identity-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe.skipIf(process.platform !== 'linux')('process identities', () => {
  it('a process of the same pid that started at another time is left alone', async () => {
    const innocent = spawn('sleep', ['30'], { stdio: 'ignore' });
    try {
      const identity = identityOf(innocent.pid ?? 0);
      expect(identity).toBeDefined();
      await killExactly({ pid: innocent.pid ?? 0, startTicks: '1' });
      expect(identity !== undefined && isAlive(identity)).toBe(true);
      if (identity !== undefined) await killExactly(identity);
      expect(identityOf(innocent.pid ?? 0)).toBeUndefined();
    } finally {
      innocent.kill('SIGKILL');
    }
  });

  it('is read back as it was written, and a missing or torn file is nobody', () => {
    const file = path.join(folder, 'identity');
    writeIdentity(file, { pid: 42, startTicks: '99' });
    expect(readIdentity(file)).toEqual({ pid: 42, startTicks: '99' });
    writeFileSync(file, '42');
    expect(readIdentity(file)).toBeUndefined();
    expect(readIdentity(path.join(folder, 'absent'))).toBeUndefined();
  });

  it('a lock is held by one, and a dead holder’s is taken over', async () => {
    const lock = path.join(folder, 'lock');
    const order: string[] = [];
    const work = (name: string) => async () => {
      order.push(`${name} in`);
      await Promise.resolve();
      order.push(`${name} out`);
    };
    const nobody = () => undefined;
    await Promise.all([withLock(lock, nobody, work('a')), withLock(lock, nobody, work('b'))]);
    expect(order).toEqual(['a in', 'a out', 'b in', 'b out']);
    expect(existsSync(lock)).toBe(false);

    mkdirSync(lock);
    writeIdentity(path.join(lock, 'holder'), { pid: process.pid, startTicks: '1' });
    await withLock(lock, nobody, work('c'));
    expect(order.slice(-2)).toEqual(['c in', 'c out']);
  });
});
