// The pages that are made from code say what the code does, and the page of the configuration names every key.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { COMMANDS } from '../../../src/proxy/admin/command-table.ts';
import { checkProxyConfig } from '../../../src/proxy/config.ts';
import { RESTART_KEYS } from '../../../src/proxy/reload-plan.ts';
import { PROXY_METRICS } from '../../../src/telemetry/metrics-table.ts';
import { documentTable } from '../../support/document-table.ts';

const ROOT = path.resolve(import.meta.dirname, '../../..');
const read = (file: string) => readFileSync(path.join(ROOT, file), 'utf8');

const UNITS: Readonly<Record<string, number>> = { s: 1_000, min: 60_000, h: 3_600_000, GiB: 2 ** 30 };

/** A default as the page writes it, as the configuration would hold it. */
function plain(written: string): string {
  const [, count, unit = ''] = /^(\d+) (\w+)$/.exec(written) ?? [];
  const factor = UNITS[unit];
  return count === undefined || factor === undefined ? written.replaceAll('`', '') : String(Number(count) * factor);
}

function valueAt(config: unknown, key: string): string {
  const value = key
    .split('.')
    .reduce<unknown>((at, part) => (at as Record<string, unknown> | undefined)?.[part], config);
  return Array.isArray(value) ? `[${value.join(', ')}]` : String(value);
}

describe('reference pages', () => {
  it('docs/ADMIN.md and docs/METRICS.md are those that the code makes', () => {
    const script = path.join(ROOT, 'scripts/generate-reference.mjs');
    expect(() => execFileSync(process.execPath, [script, '--check'], { stdio: 'pipe' })).not.toThrow();
  });

  it('docs/ADMIN.md has every command with every column, docs/METRICS.md every metric', () => {
    const admin = read('docs/ADMIN.md');
    for (const [command, { columns }] of Object.entries(COMMANDS)) {
      expect(admin).toContain(`### \`${command}`);
      for (const { name, type, help } of columns) expect(admin).toContain(`| \`${name}\` | ${type} | ${help} |`);
    }
    const metrics = read('docs/METRICS.md');
    for (const name of Object.keys(PROXY_METRICS)) expect(metrics).toContain(`| \`${name}\` |`);
  });

  it('docs/ADMIN.md names the keys that only a restart changes', () => {
    const [line = ''] = /Only by a restart: .*/.exec(read('docs/ADMIN.md')) ?? [];
    for (const key of RESTART_KEYS) expect(line).toContain(`\`${key}\``);
  });

  it('docs/CONFIGURATION.md names every section of the configuration', () => {
    const page = read('docs/CONFIGURATION.md');
    const config = checkProxyConfig(
      {
        cluster: 'test1',
        wal: { directory: '/wal' },
        authentication: { method: 'trust' },
        shards: [{ name: 'shard-0', host: 'h' }],
        resolver: { user: 'postgres' },
        serverUser: { name: 'app' },
        http: {},
      },
      'test',
    );
    const missing = Object.keys(config).filter((section) => !page.includes(`| \`${section}`));
    expect(missing).toEqual([]);
  });

  it('docs/CONFIGURATION.md says the defaults of the code', () => {
    const document = {
      cluster: 'test1',
      wal: { directory: '/wal' },
      authentication: { users: [{ name: 'app', password: 'x' }] },
      shards: [{ name: 'shard-0', host: 'h' }],
      resolver: { user: 'postgres' },
      http: {},
    };
    const config: unknown = checkProxyConfig(document, 'test');
    const told = documentTable('CONFIGURATION.md', '| key | default | what it is |').flatMap(
      ([keys = '', defaults = '']) => {
        const values = defaults.split(/, (?![^[]*\])/).map(plain);
        const paths = [...keys.matchAll(/`([\w.[\]]+)`/g)].map(([, key = '']) => key);
        return paths.flatMap((key, index) => [[key, values[index] ?? ''] as const]);
      },
    );
    // A default of its own only where it is one value: the rest is required, or a list, or said in words.
    const checked = told.filter(
      ([key, value]) => /^[\w.[\]-]+$/.test(value) && value !== 'required' && !key.includes('[]'),
    );
    expect(checked.map(([key]) => [key, valueAt(config, key)])).toEqual(checked);
    expect(checked.length).toBeGreaterThan(30);
  });
});
