// The rules of the house that a machine can hold: who may import whom, how long a file may be, how it begins.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = path.resolve(import.meta.dirname, '../..');

/** Which rooms of src/ a room may import; `kernel` may be imported by all and is left out. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  kernel: [],
  protocol: [],
  sql: [],
  wal: [],
  telemetry: [],
  routing: ['sql'],
  shard: ['protocol', 'telemetry'],
  transaction: ['wal', 'shard', 'protocol', 'telemetry'],
  recovery: ['transaction', 'shard', 'wal', 'protocol', 'telemetry'],
  session: ['transaction', 'routing', 'sql', 'shard', 'protocol', 'telemetry'],
  proxy: ['session', 'recovery', 'transaction', 'routing', 'sql', 'shard', 'protocol', 'wal', 'telemetry'],
  operator: ['recovery', 'transaction', 'wal', 'shard', 'protocol', 'telemetry'],
  plugin: ['operator'],
  dev: ['proxy', 'telemetry'],
  'main.ts': ['proxy', 'dev', 'wal', 'transaction', 'operator', 'telemetry'],
};

const FILE_LINES_MAX = 300;

/** Files that may be longer, each with its reason. */
const LONG_FILES: Record<string, string> = {
  'src/sql/builtin-functions.generated.ts': 'generated from pg_proc',
  'src/operator/api/sharded-cluster.generated.ts': 'generated from the CRD',
};

const BANNED: readonly { pattern: RegExp; why: string; allowedIn: RegExp }[] = [
  {
    pattern: /process\.env\b/,
    why: 'configuration comes from files and flags',
    allowedIn: /^src\/(main\.ts|dev\/|operator\/)/,
  },
  {
    pattern: /\bconsole\./,
    why: 'log through telemetry, or write to a stream handed in',
    allowedIn: /^src\/(main\.ts|dev\/)/,
  },
  { pattern: /\bvi\.mock\b/, why: 'inject ports', allowedIn: /^test\/tidy\// },
  {
    pattern: /Math\.random\(/,
    why: 'randomness is seeded in tests; jitter takes a random source',
    allowedIn: /^src\/(kernel|shard|recovery|dev)\//,
  },
];

function filesBelow(folder: string): string[] {
  const all = readdirSync(path.join(ROOT, folder), { recursive: true, withFileTypes: true });
  return all
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => path.relative(ROOT, path.join(entry.parentPath, entry.name)))
    .filter((file) => !file.includes('node_modules'))
    .toSorted();
}

const read = (file: string) => readFileSync(path.join(ROOT, file), 'utf8');
const sources = filesBelow('src');
const everything = [...sources, ...filesBelow('test'), ...filesBelow('bench')];

function roomOf(file: string): string {
  return file.split('/')[1] ?? '';
}

function importsOf(file: string): string[] {
  const found = [...read(file).matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)];
  return found.map((match) => path.relative(ROOT, path.resolve(ROOT, path.dirname(file), match[1] ?? '')));
}

describe('house rules', () => {
  it('looks at a tree that is really there', () => {
    expect(sources.length).toBeGreaterThan(5);
  });

  it('every room of src/ is known', () => {
    expect([...new Set(sources.map(roomOf))].filter((room) => !(room in MAY_IMPORT))).toEqual([]);
  });

  it('imports flow one way', () => {
    const wrong: string[] = [];
    for (const file of sources) {
      const room = roomOf(file);
      for (const target of importsOf(file)) {
        const to = target.startsWith('src/') ? roomOf(target) : `outside src: ${target}`;
        if (to !== room && to !== 'kernel' && !MAY_IMPORT[room]?.includes(to)) wrong.push(`${file} imports ${target}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it(`no file is longer than ${FILE_LINES_MAX} lines without a reason`, () => {
    const long = sources.filter((file) => !(file in LONG_FILES) && read(file).split('\n').length > FILE_LINES_MAX + 1);
    expect(long).toEqual([]);
  });

  it('every module opens with a comment that says what it is', () => {
    const headless = sources.filter((file) => !/^(#!.*\n)?(\/\/ \S.{20,}|\/\*\*?\s)/.test(read(file)));
    expect(headless).toEqual([]);
  });

  it('banned calls are not made', () => {
    const found = everything.flatMap((file) =>
      BANNED.filter(
        (rule) => file.startsWith('src/') && !rule.allowedIn.test(file) && rule.pattern.test(read(file)),
      ).map((rule) => `${file}: ${rule.pattern} (${rule.why})`),
    );
    expect(found).toEqual([]);
  });

  it('nothing vague: no file is called utils, helpers, data, info, misc or manager', () => {
    const vague = /(^|[-/])(utils?|helpers?|data|info|misc|manager|common)(\.ts$|\/)/;
    expect(everything.filter((file) => vague.test(file))).toEqual([]);
  });
});
