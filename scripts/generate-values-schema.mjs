// Writes charts/atomshard-cluster/values.schema.json from the CRD: the values of that chart are the spec of a ShardedCluster, so
// Helm refuses what the API server would refuse for its shape, before anything is sent.
// Use: node scripts/generate-values-schema.mjs [--check]     with --check nothing is written, and exit 1 says what is out of date.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';

const ROOT = path.resolve(import.meta.dirname, '..');
const CRD = 'crds/shardedclusters.atomshard.dev.yaml';
const SCHEMA = 'charts/atomshard-cluster/values.schema.json';

const crd = parse(readFileSync(path.join(ROOT, CRD), 'utf8'), { maxAliasCount: -1 });
const { spec } = crd.spec.versions[0].schema.openAPIV3Schema.properties;

/** Words that JSON Schema has too, and that mean the same there. */
const SAME = ['description', 'type', 'enum', 'default', 'minimum', 'maximum', 'pattern', 'required'];
const SAME_SIZES = ['minLength', 'maxLength', 'minItems', 'maxItems', 'minProperties', 'maxProperties'];

/** Several schemas that the CRD repeats (an anchor) are one definition here. */
const definitions = {};
const nameOf = new Map();
const uses = new Map();

function count(schema) {
  uses.set(schema, (uses.get(schema) ?? 0) + 1);
  if (uses.get(schema) > 1) return;
  for (const inner of Object.values(schema.properties ?? {})) count(inner);
  if (schema.items) count(schema.items);
  if (typeof schema.additionalProperties === 'object') count(schema.additionalProperties);
}

function convert(schema, field) {
  const shared = (schema.properties || schema.items?.properties) && uses.get(schema) > 1;
  if (!shared) return shape(schema, field);
  if (!nameOf.has(schema)) {
    const name = [...Array(9).keys()]
      .map((n) => (n === 0 ? field : `${field}${n + 1}`))
      .find((n) => !(n in definitions));
    nameOf.set(schema, name);
    definitions[name] = {};
    definitions[name] = shape(schema, field);
  }
  return { $ref: `#/$defs/${nameOf.get(schema)}` };
}

function shape(schema, field) {
  const result = {};
  for (const word of [...SAME, ...SAME_SIZES]) if (schema[word] !== undefined) result[word] = schema[word];
  if (schema['x-kubernetes-int-or-string']) result.type = ['integer', 'string'];
  if (schema.properties) {
    result.properties = Object.fromEntries(
      Object.entries(schema.properties).map(([name, inner]) => [name, convert(inner, name)]),
    );
    result.additionalProperties = false;
  } else if (schema.additionalProperties) {
    result.additionalProperties = convert(schema.additionalProperties, field);
  }
  if (schema.items) result.items = convert(schema.items, field);
  return result;
}

/** What the chart has besides the spec. */
const OWN = {
  nameOverride: { type: 'string', maxLength: 30, description: "Name of the ShardedCluster; without it the release's." },
  labels: { type: 'object', additionalProperties: { type: 'string' }, description: 'Labels of the ShardedCluster.' },
  annotations: {
    type: 'object',
    additionalProperties: { type: 'string' },
    description: 'Annotations of the ShardedCluster.',
  },
  test: {
    type: 'object',
    description: 'The Pod of `helm test`: psql through the Service.',
    additionalProperties: false,
    properties: {
      image: { type: 'string', description: 'An image with psql; without it that of the shards.' },
      timeoutSeconds: { type: 'integer', minimum: 1, description: 'How long the cluster may take to answer.' },
    },
  },
  global: { type: 'object', description: 'Set by Helm where this chart is part of another.' },
};

count(spec);
const { properties } = shape(spec, 'spec');
const schema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: `Values of atomshard-cluster. Generated from ${CRD} by scripts/generate-values-schema.mjs; a test compares them.`,
  type: 'object',
  additionalProperties: false,
  properties: { ...OWN, ...properties },
  $defs: definitions,
};
const biome = path.join(ROOT, 'node_modules/.bin/biome');
const wanted = execFileSync(biome, ['format', '--stdin-file-path=schema.json'], {
  cwd: ROOT,
  input: JSON.stringify(schema),
  encoding: 'utf8',
});

if (!process.argv.includes('--check')) {
  writeFileSync(path.join(ROOT, SCHEMA), wanted);
} else if (!existsSync(path.join(ROOT, SCHEMA)) || readFileSync(path.join(ROOT, SCHEMA), 'utf8') !== wanted) {
  process.stderr.write(`${SCHEMA} is not what ${CRD} says: run node scripts/generate-values-schema.mjs\n`);
  process.exitCode = 1;
}
