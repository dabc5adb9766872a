// What the samples become, whole, so that no field of any object changes unnoticed. `ATOMSHARD_GOLDEN=write` writes the files anew:
// read the difference, for every one in a pod template restarts the pods of every cluster at the next upgrade of the operator.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { desiredObjects } from '../../../../src/operator/desired/desired.ts';
import { desiredInput, sampleCluster } from '../../../support/sharded-cluster.ts';

const GOLDEN = path.resolve(import.meta.dirname, '../../../golden/operator');

/** Secrets with their text, as nobody reads base64. */
function legible(object: Readonly<Record<string, unknown>>): object {
  if (object.kind !== 'Secret') return object;
  const { data, ...rest } = object as { data: Readonly<Record<string, string>> };
  const texts = Object.entries(data).map(([key, text]) => [key, Buffer.from(text, 'base64').toString('utf8')] as const);
  return { ...rest, stringData: Object.fromEntries(texts) };
}

describe('the objects of a cluster', () => {
  it.each(['minimal', 'full', 'external', 'tls'])('of the sample %s are what they were', (sample) => {
    // Alerts have words of their own, and a test of their own.
    const monitoringKinds = { podMonitor: true, prometheusRule: false };
    const input = desiredInput(sampleCluster(sample), { monitoringKinds });
    const objects = desiredObjects(input).map(({ object }) => legible(object));
    const text = objects
      .map((object) => stringify(object, { lineWidth: 0, aliasDuplicateObjects: false }))
      .join('---\n');
    const file = path.join(GOLDEN, `${sample}.yaml`);
    if (process.env.ATOMSHARD_GOLDEN === 'write' || !existsSync(file)) {
      mkdirSync(GOLDEN, { recursive: true });
      writeFileSync(file, text);
    }
    expect(text).toBe(readFileSync(file, 'utf8'));
  });
});
