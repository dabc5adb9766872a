// The CRD by itself, without an API server: what is generated from it is current, and every field says what it is.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { parseDuration, parseSize } from '../../../../src/kernel/quantity.ts';
import { checkShardedCluster } from '../../../../src/proxy/config-from-cluster.ts';

const ROOT = path.resolve(import.meta.dirname, '../../../..');
const read = (file: string) => readFileSync(path.join(ROOT, file), 'utf8');

interface Schema {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly string[];
  readonly maxItems?: number;
  readonly maxLength?: number;
  readonly maxProperties?: number;
  readonly format?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: Schema;
  readonly 'x-kubernetes-validations'?: readonly { readonly message?: string; readonly messageExpression?: string }[];
}

const crd = parse(read('crds/shardedclusters.atomshard.dev.yaml')) as {
  spec: { versions: [{ schema: { openAPIV3Schema: Schema } }] };
};
const root = crd.spec.versions[0].schema.openAPIV3Schema;

/** Every schema with its path; `[]` is an item, `{}` a value. */
function* walk(schema: Schema, at: string): Generator<[string, Schema]> {
  yield [at, schema];
  for (const [name, inner] of Object.entries(schema.properties ?? {})) yield* walk(inner, `${at}.${name}`);
  if (schema.items !== undefined) yield* walk(schema.items, `${at}[]`);
  if (schema.additionalProperties !== undefined) yield* walk(schema.additionalProperties, `${at}{}`);
}
const fields = [...walk(root, '')];

function shardedClusterOf(sample: string): unknown {
  const documents = parseAllDocuments(read(`manifests/samples/${sample}.yaml`)) as readonly { toJS(): unknown }[];
  return documents.map((one) => one.toJS()).find((one) => (one as { kind: string }).kind === 'ShardedCluster');
}

describe('the CRD of ShardedCluster', () => {
  it('is what the types in src/operator/api and docs/API.md say', () => {
    const generate = path.join(ROOT, 'scripts/generate-api.mjs');
    // Its error names the file that is out of date.
    execFileSync(process.execPath, [generate, '--check'], { cwd: ROOT, stdio: 'pipe' });
  });

  it('describes every field', () => {
    expect(fields.length).toBeGreaterThan(300);
    // The API server allows no description on metadata and has its own.
    const silent = fields.filter(([at, schema]) => at !== '.metadata' && (schema.description ?? '').length < 5);
    expect(silent.map(([at]) => at)).toEqual([]);
  });

  it('bounds every list, map and text, so that rules have a known cost', () => {
    const own = fields.filter(([at]) => at.startsWith('.spec') || at.startsWith('.status'));
    const unbounded = own.filter(
      ([, schema]) =>
        (schema.type === 'array' && schema.maxItems === undefined) ||
        (schema.additionalProperties !== undefined && schema.maxProperties === undefined) ||
        (schema.type === 'string' && !schema.enum && !schema.format && schema.maxLength === undefined),
    );
    expect(unbounded.map(([at]) => at)).toEqual([]);
  });

  it('gives every rule words', () => {
    const rules = fields.flatMap(([at, schema]) =>
      (schema['x-kubernetes-validations'] ?? []).map((rule) => [at, rule.message ?? rule.messageExpression] as const),
    );
    expect(rules.length).toBeGreaterThan(40);
    expect(rules.filter(([, words]) => (words ?? '').length < 20)).toEqual([]);
  });

  it('promises of turndown no more than is done: a shard that has rows is never left out', () => {
    const rules = fieldsOf('.spec.shards')['x-kubernetes-validations'] ?? [];
    const words = rules.flatMap(({ message = '' }) => (message.includes('turndown') ? [message] : []));
    expect(words).toHaveLength(2);
    for (const message of words) {
      expect(message).toContain('a shard that has rows is never left out');
      expect(message).toContain('where no shard has a table write turndown: Immediate');
    }
  });

  it('has defaults of sizes and durations that the proxy reads', () => {
    const defaults = fields.filter(
      ([at, { default: value }]) => typeof value === 'string' && /\.(wal|pool)\./.test(at),
    );
    expect(defaults.length).toBeGreaterThan(6);
    for (const [at, { default: value }] of defaults)
      expect([at, parseSize(String(value)) ?? parseDuration(String(value))]).toEqual([at, expect.any(Number)]);
  });

  it.each(['minimal', 'full', 'external', 'tls'])(
    'the sample %s is one that the proxy and atomshard dev read',
    (sample) => {
      const cluster = checkShardedCluster(shardedClusterOf(sample), sample);
      expect(cluster.spec.sharding.tables.length).toBeGreaterThan(0);
    },
  );

  it('the proxy knows every block of the spec, and no block that the CRD does not have', () => {
    const blocks = Object.keys(root.properties?.spec?.properties ?? {});
    const read = (spec: object) => () =>
      checkShardedCluster(
        { apiVersion: 'atomshard.dev/v1alpha1', kind: 'ShardedCluster', metadata: { name: 'a' }, spec },
        'test',
      );
    for (const block of blocks) {
      const value = fieldsOf(`.spec.${block}`).default ?? [];
      expect(read({ shards: { count: 1 }, ...(block === 'shards' ? {} : { [block]: value }) })).not.toThrow();
    }
    expect(read({ shards: { count: 1 }, unheard: {} })).toThrow(/unheard/);
  });
});

function fieldsOf(at: string): Schema {
  const found = fields.find(([where]) => where === at);
  if (found === undefined) throw new Error(`no field ${at}`);
  return found[1];
}
