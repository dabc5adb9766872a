// Writes src/operator/api/sharded-cluster.generated.ts and docs/API.md from the CRD, so that neither can
// say something else.
// Use: node scripts/generate-api.mjs [--check]     with --check nothing is written, and exit 1 says what is out of date.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseDocument, visit } from 'yaml';

const ROOT = path.resolve(import.meta.dirname, '..');
const CRD = 'crds/shardedclusters.atomshard.dev.yaml';

const document = parseDocument(readFileSync(path.join(ROOT, CRD), 'utf8'));
if (document.errors.length > 0) throw document.errors[0];
const crd = document.toJS();
const root = crd.spec.versions[0].schema.openAPIV3Schema;

/** Anchored schemas by identity: an alias becomes the same object, so one name serves every use. */
const anchored = new Map();
visit(document, {
  Map(_key, node, ancestors) {
    if (!node.anchor) return;
    let value = crd;
    for (const [index, step] of ancestors.entries()) {
      const next = ancestors[index + 1] ?? node;
      if (step.items === undefined) continue;
      const at = step.items.indexOf(next);
      if (at >= 0) value = Array.isArray(value) ? value[at] : value[step.items[at].key.value];
    }
    anchored.set(value, node.anchor);
  },
});

const capital = (word) => word[0].toUpperCase() + word.slice(1);
const singular = (word) => word.replace(/ies$/, 'y').replace(/s$/, '');
const anchorOf = (schema) => {
  const shared = schema.properties || schema.items || schema.additionalProperties || schema.enum;
  return shared ? anchored.get(schema) : undefined;
};

// TypeScript

const declared = new Map();

function typeOf(schema, name) {
  const anchor = anchorOf(schema);
  if (anchor === undefined) return schema.properties ? declare(schema, name) : shapeOf(schema, name);
  if (schema.properties) return declare(schema, anchor);
  if (!declared.has(anchor)) {
    declared.set(anchor, '');
    declared.set(anchor, `${comment(schema.description, '')}export type ${anchor} = ${shapeOf(schema, anchor)};\n`);
  }
  return anchor;
}

function shapeOf(schema, name) {
  if (schema.enum) return schema.enum.map((value) => `'${value}'`).join(' | ');
  if (schema['x-kubernetes-int-or-string']) return 'number | string';
  if (schema.items) return `readonly (${typeOf(schema.items, singular(name))})[]`;
  if (schema.additionalProperties) return `Readonly<Record<string, ${typeOf(schema.additionalProperties, name)}>>`;
  if (schema.type === 'integer') return 'number';
  return schema.type;
}

function declare(schema, name) {
  if (declared.has(name)) return name;
  declared.set(name, '');
  const fields = Object.entries(schema.properties).map(([field, inner]) => {
    const always = schema.required?.includes(field) || inner.default !== undefined;
    const prefix = /^ShardedCluster(Spec)?$/.test(name) ? '' : name === 'ShardedClusterStatus' ? 'Status' : name;
    const type = typeOf(inner, prefix + capital(field));
    return `${comment(inner.description, '  ')}  readonly ${field}${always ? '' : '?'}: ${type};\n`;
  });
  declared.set(name, `${comment(schema.description, '')}export interface ${name} {\n${fields.join('')}}\n`);
  return name;
}

function comment(text, indent) {
  const lines = [''];
  for (const word of (text ?? '').split(/\s+/)) {
    const line = `${lines.at(-1)} ${word}`.trimStart();
    if (line.length > 110 - indent.length) lines.push(word);
    else lines[lines.length - 1] = line;
  }
  if (lines.length === 1) return lines[0] === '' ? '' : `${indent}/** ${lines[0]} */\n`;
  return `${indent}/**\n${lines.map((line) => `${indent} * ${line}\n`).join('')}${indent} */\n`;
}

function types() {
  declare(root.properties.spec, 'ShardedClusterSpec');
  declare(root.properties.status, 'ShardedClusterStatus');
  const { group, versions, names } = crd.spec;
  const head = `// Generated from ${CRD} by scripts/generate-api.mjs; a test compares them.
// A ShardedCluster as the API server hands it out: checked, and with every default filled in, so that only fields without a default can be missing.

export const GROUP = '${group}';
export const VERSION = '${versions[0].name}';
export const KIND = '${names.kind}';
export const PLURAL = '${names.plural}';

`;
  const text = head + [...declared.values()].join('\n');
  const biome = path.join(ROOT, 'node_modules/.bin/biome');
  return execFileSync(biome, ['format', '--stdin-file-path=types.ts'], { cwd: ROOT, input: text, encoding: 'utf8' });
}

// The reference page

const cell = (text) => String(text).replaceAll('|', '\\|');
const pages = new Map();
/** A shared type with fields gets a section of its own; shared lists of words do not. */
const hasPage = (schema) => anchorOf(schema) && (schema.properties || schema.items?.properties);

function typeWord(schema) {
  const anchor = anchorOf(schema);
  if (hasPage(schema)) return `[${anchor}](#${anchor.toLowerCase()})`;
  if (schema.enum) return schema.enum.map((value) => (value === '' ? '""' : value)).join(', ');
  if (schema['x-kubernetes-int-or-string']) return 'string or integer';
  if (schema.items) return `list of ${typeWord(schema.items)}`;
  if (schema.additionalProperties) return `map to ${typeWord(schema.additionalProperties)}`;
  const { minimum, maximum } = schema;
  if (minimum === undefined && maximum === undefined) return schema.type;
  return `${schema.type}, ${minimum ?? ''}–${maximum ?? ''}`;
}

function rows(schema, at, lines, rules) {
  for (const rule of schema['x-kubernetes-validations'] ?? []) rules.push([at, rule]);
  for (const [field, inner] of Object.entries(schema.properties ?? {})) {
    const here = at === '' ? field : `${at}.${field}`;
    const needed = schema.required?.includes(field) ? 'required' : '';
    const byDefault =
      inner.default === undefined || Object(inner.default) === inner.default ? needed : `\`${inner.default}\``;
    lines.push(`| \`${here}\` | ${cell(typeWord(inner))} | ${byDefault} | ${cell(inner.description)} |`);
    below(inner, here, lines, rules);
  }
}

function below(schema, at, lines, rules) {
  const anchor = anchorOf(schema);
  if (hasPage(schema)) {
    if (!pages.has(anchor)) {
      pages.set(anchor, '');
      pages.set(anchor, section(`### ${anchor}`, schema.items ?? schema, ''));
    }
    return;
  }
  if (schema.items) return below(schema.items, `${at}[]`, lines, rules);
  if (schema.properties) return rows(schema, at, lines, rules);
  for (const rule of schema['x-kubernetes-validations'] ?? []) rules.push([at, rule]);
}

function section(heading, schema, at) {
  const lines = [];
  const rules = [];
  rows(schema, at, lines, rules);
  const table = `| field | type | default | what it is |\n|---|---|---|---|\n${lines.join('\n')}\n`;
  const body = [schema.description, lines.length > 0 ? table.trimEnd() : undefined].filter(Boolean).join('\n\n');
  const said = new Set(rules.map(([where, rule]) => `- ${where === '' ? '' : `\`${where}\`: `}${spoken(rule)}`));
  return `${heading}\n\n${body}\n${said.size === 0 ? '' : `\nRefused, with these words:\n\n${[...said].join('\n')}\n`}`;
}

/** What the API server says; the parts that it computes become an ellipsis. */
function spoken(rule) {
  if (rule.message) return rule.message;
  const parts = rule.messageExpression.split(/\s\+\s/).map((part) => /^'([^']*)'$/.exec(part.trim())?.[1] ?? '…');
  return parts.join('').replace(/…+/g, '…');
}

function reference() {
  const { group, names, versions } = crd.spec;
  const { spec, status } = root.properties;
  const parts = [
    section('## metadata and spec', { ...root, properties: {} }, ''),
    ...Object.entries(spec.properties).flatMap(([field, inner]) =>
      inner.properties && !anchorOf(inner) ? [section(`### spec.${field}`, inner, '')] : [],
    ),
  ];
  const plain = Object.fromEntries(Object.entries(spec.properties).filter(([, inner]) => !inner.properties));
  parts.splice(1, 0, section('### spec', { ...spec, properties: plain }, ''));
  parts.push(section('## status', status, ''), '## Shared types\n');
  return `# ShardedCluster

<!-- Generated from ${CRD} by scripts/generate-api.mjs; a test compares them. -->

\`apiVersion: ${group}/${versions[0].name}\`, \`kind: ${names.kind}\`, short name \`${names.shortNames[0]}\`. \`kubectl explain ${names.shortNames[0]}.spec\` says the same. Needs Kubernetes 1.33 or later.

${[...parts, ...pages.values()].join('\n')}`;
}

const outputs = { 'src/operator/api/sharded-cluster.generated.ts': types(), 'docs/API.md': reference() };
for (const [file, text] of Object.entries(outputs)) {
  const full = path.join(ROOT, file);
  if (!process.argv.includes('--check')) {
    mkdirSync(path.dirname(full), { recursive: true });
    writeFileSync(full, text);
  } else if (!existsSync(full) || readFileSync(full, 'utf8') !== text) {
    process.stderr.write(`${file} is not what ${CRD} says: run node scripts/generate-api.mjs\n`);
    process.exitCode = 1;
  }
}
