// What the first run fixed, later runs must agree with: rows were placed by it.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { keepCluster } from '../../../src/dev/dev-directory.ts';
import { DevError } from '../../../src/dev/dev-error.ts';

describe('the directory of atomshard dev', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(path.join(os.tmpdir(), 'atomshard-dev-unit-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  it('keeps the cluster id, so that a later run finds the prepared transactions of an earlier one', async () => {
    const first = await keepCluster(path.join(directory, 'a'), { shards: 3, buckets: 4096 });
    expect(first.cluster).toMatch(/^[a-z0-9]{6}$/);
    expect(await keepCluster(path.join(directory, 'a'), { shards: 3, buckets: 4096 })).toEqual(first);
    expect((await keepCluster(path.join(directory, 'b'), { shards: 3, buckets: 4096 })).cluster).not.toBe(
      first.cluster,
    );
  });

  it.each([
    { shards: 4, buckets: 4096 },
    { shards: 3, buckets: 64 },
  ])('refuses %j where 3 shards and 4096 buckets hold the rows', async (wanted) => {
    await keepCluster(directory, { shards: 3, buckets: 4096 });
    await expect(keepCluster(directory, wanted)).rejects.toThrow(/was made with/);
  });

  it('refuses a cluster.json that is not ours, and does not change it', async () => {
    const file = path.join(directory, 'cluster.json');
    await writeFile(file, '{"some": "thing"}');
    await expect(keepCluster(directory, { shards: 3, buckets: 4096 })).rejects.toThrow(DevError);
    expect(await readFile(file, 'utf8')).toBe('{"some": "thing"}');
  });
});
