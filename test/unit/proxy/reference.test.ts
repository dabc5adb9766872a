// The pages that are made from code say what the code does, and the page of the configuration names every key.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { COMMANDS } from '../../../src/proxy/admin/command-table.ts';
import { checkProxyConfig } from '../../../src/proxy/config.ts';
import { RESTART_KEYS } from '../../../src/proxy/reload-plan.ts';
import { PROXY_METRICS } from '../../../src/telemetry/metrics-table.ts';

const ROOT = path.resolve(import.meta.dirname, '../../..');
const read = (file: string) => readFileSync(path.join(ROOT, file), 'utf8');

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
});
