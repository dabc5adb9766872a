// Small decisions of the harness: kind's node list, what an image's key covers, what a client image carries.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { isPresent } from '../../cluster/harness/packages.ts';
import { packageClosure } from '../../cluster/images/client.ts';
import { imageKey } from '../../cluster/images/image.ts';
import { kindConfig } from '../../cluster/kind/kind-cluster.ts';

const ROOT = path.resolve(import.meta.dirname, '../../..');

describe('kind-config.yaml', () => {
  const text = readFileSync(path.join(ROOT, 'kind-config.yaml'), 'utf8');
  const nodes = (config: string) => (parse(config) as { nodes: { role: string; image: string }[] }).nodes;

  it('has one control plane and two workers, all of one image pinned by its digest', () => {
    expect(nodes(text).map(({ role }) => role)).toEqual(['control-plane', 'worker', 'worker']);
    const images = new Set(nodes(text).map(({ image }) => image));
    expect([...images]).toEqual([expect.stringMatching(/^kindest\/node:v1\.\d+\.\d+@sha256:[0-9a-f]{64}$/)]);
  });

  it('is stretched to any number of nodes', () => {
    expect(nodes(kindConfig(text, 1)).map(({ role }) => role)).toEqual(['control-plane']);
    expect(nodes(kindConfig(text, 5))).toHaveLength(5);
  });
});

describe('an image’s key', () => {
  it('follows the content of the project’s files, not their times', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'image-'));
    try {
      mkdirSync(path.join(folder, 'src'));
      const file = path.join(folder, 'src/a.ts');
      writeFileSync(file, 'one');
      const recipe = { name: 'x', inputs: { texts: ['t'], paths: [path.join(folder, 'src')] } };
      const key = imageKey(recipe, folder);
      utimesSync(file, 1, 1);
      expect(imageKey(recipe, folder)).toBe(key);
      writeFileSync(file, 'two');
      expect(imageKey(recipe, folder)).not.toBe(key);
      expect(imageKey({ ...recipe, inputs: { ...recipe.inputs, texts: ['u'] } }, folder)).not.toBe(
        imageKey(recipe, folder),
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('parts of this machine', () => {
  it('a driver brings the packages it needs, and those theirs', () => {
    const closure = packageClosure(path.join(ROOT, 'node_modules'), ['pg']);
    expect(closure).toEqual(expect.arrayContaining(['pg', 'pg-protocol', 'pg-types', 'postgres-array']));
  });

  it('a requirement is found by a program, by a file, and by a library', () => {
    expect(isPresent({ package: 'x', why: '', provides: 'sh' })).toBe(true);
    expect(isPresent({ package: 'x', why: '', provides: 'no-such-program' })).toBe(false);
    expect(isPresent({ package: 'x', why: '', provides: '/no/such/header.h' })).toBe(false);
  });
});
