// What is shipped says what its sources say, without Helm: copies, generated schemas, and values that the schemas know.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';

const ROOT = path.resolve(import.meta.dirname, '../../..');
const read = (file: string): string => readFileSync(path.join(ROOT, file), 'utf8');

interface Schema {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
}

function check(script: string): string {
  const outcome = spawnSync(process.execPath, [path.join(ROOT, 'scripts', script), '--check'], { encoding: 'utf8' });
  return `${outcome.status}${outcome.stderr}`;
}

/** Fields as `a.b.c`; an object that is empty by default ends where it is. */
function fieldsOf(value: unknown, at = ''): string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [at];
  const inner = Object.entries(value);
  return inner.length === 0
    ? [at]
    : inner.flatMap(([field, below]) => fieldsOf(below, at === '' ? field : `${at}.${field}`));
}

function knows(schema: Schema, field: string): boolean {
  let at: Schema | undefined = schema;
  for (const step of field.split('.')) {
    // Below a map to strings, names are the user's.
    if (at?.properties === undefined) return at?.type === 'object';
    at = at.properties[step];
  }
  return at !== undefined;
}

describe('what is shipped', () => {
  it('install.yaml and the CRD in the chart are those of the chart and of crds/', () => {
    expect(check('generate-install.mjs')).toBe('0');
  });

  it('values of the cluster chart have the schema of the CRD', () => {
    expect(check('generate-values-schema.mjs')).toBe('0');
  });

  it.each(['atomshard-operator', 'atomshard-cluster'])(
    'values.yaml of %s has no field that its schema refuses',
    (chart) => {
      const schema = JSON.parse(read(`charts/${chart}/values.schema.json`)) as Schema;
      const fields = fieldsOf(parse(read(`charts/${chart}/values.yaml`)));
      expect(fields.length).toBeGreaterThan(10);
      expect(fields.filter((field) => !knows(schema, field))).toEqual([]);
    },
  );

  it('every value of the operator chart has a default in values.yaml', () => {
    const schema = JSON.parse(read('charts/atomshard-operator/values.schema.json')) as Schema;
    const values = parse(read('charts/atomshard-operator/values.yaml')) as Record<string, unknown>;
    const set = new Set(fieldsOf(values).map((field) => field.split('.')[0]));
    expect(Object.keys(schema.properties ?? {}).filter((field) => field !== 'global' && !set.has(field))).toEqual([]);
  });

  it('charts have the version of the package', () => {
    const { version } = JSON.parse(read('package.json')) as { version: string };
    for (const chart of ['atomshard-operator', 'atomshard-cluster']) {
      expect(parse(read(`charts/${chart}/Chart.yaml`))).toMatchObject({ version, appVersion: version });
    }
    expect(read('manifests/install.yaml')).toContain(`image: atomshard:${version}\n`);
  });
});
