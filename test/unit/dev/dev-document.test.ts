// What `atomshard dev` accepts: one ShardedCluster, whose shards it can start itself.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readDevDocument } from '../../../src/dev/dev-document.ts';

const directory = mkdtempSync(path.join(os.tmpdir(), 'atomshard-document-'));
afterAll(() => rmSync(directory, { recursive: true }));

function file(text: string): string {
  const name = path.join(directory, 'cluster.yaml');
  writeFileSync(name, text);
  return name;
}

const cluster = (spec: string) =>
  `apiVersion: atomshard.dev/v1alpha1\nkind: ShardedCluster\nmetadata: { name: bank }\nspec: ${spec}\n`;

describe('the document of atomshard dev', () => {
  it('is made of flags where no file is given: three shards, or as many as said', () => {
    expect(readDevDocument(undefined, undefined).spec.shards.count).toBe(3);
    expect(readDevDocument(undefined, 5).spec.shards.count).toBe(5);
  });

  it('is the one ShardedCluster of a file that may hold other documents too; a flag overrides its count', () => {
    const name = file(`kind: Secret\n---\n${cluster('{ shards: { count: 2 } }')}`);
    expect(readDevDocument(name, undefined).spec.shards.count).toBe(2);
    expect(readDevDocument(name, 4).spec.shards.count).toBe(4);
  });

  it.each([
    ['two clusters', `${cluster('{ shards: { count: 2 } }')}---\n${cluster('{ shards: { count: 2 } }')}`, /holds 2/],
    ['another kind', 'kind: Pod\n', /kind|apiVersion/],
    ['broken YAML', 'a: [', /not valid YAML/],
    ['external shards', cluster('{ shards: { external: [{ name: a, host: h }] } }'), /atomshard proxy/],
    ['no shards at all', cluster('{ shards: {} }'), /spec.shards/],
    [
      'a parameter that is ours',
      cluster('{ shards: { count: 1 }, postgres: { parameters: { max_prepared_transactions: 0 } } }'),
      /max_prepared_transactions cannot be set/,
    ],
  ])('refuses %s and says why', (_, text, reason) => {
    expect(() => readDevDocument(file(text), undefined)).toThrow(reason);
  });

  it('refuses a file that is not there, by its name', () => {
    expect(() => readDevDocument('/nowhere/x.yaml', undefined)).toThrow(/nowhere\/x.yaml cannot be read/);
  });
});
