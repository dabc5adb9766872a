// From the first moment: administrators are let in while the proxy recovers, clients are told to wait; signals work early.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { checkProxyConfig } from '../../../src/proxy/config.ts';
import { sha256Of } from '../../../src/proxy/config-file.ts';
import { startProxy } from '../../../src/proxy/proxy.ts';
import { createLog } from '../../../src/telemetry/log.ts';
import { type Shards, startShards } from '../../support/postgres.ts';
import { testProxyConfig } from '../../support/proxy-in-process.ts';
import { ProxyProcess } from '../../support/proxy-process.ts';

/** The machine may be busy; what never comes still fails. */
const PATIENCE = { timeout: 30_000 };

let shards: Shards;
let directory: string;

beforeAll(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'atomshard-start-'));
  shards = await startShards(2);
});

afterAll(async () => {
  await shards?.[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

async function connected(port: number, database: string): Promise<pg.Client> {
  const client = new pg.Client({ host: '127.0.0.1', port, database, user: 'postgres' });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

describe('while the proxy recovers', () => {
  it('administrators see Recovering, clients get 57P03, and /readyz says why', async () => {
    const [port, httpPort] = [await freePort(), await freePort()];
    const recovered = Promise.withResolvers<void>();
    const config = checkProxyConfig(
      testProxyConfig(shards, path.join(directory, 'wal'), {
        listen: { host: '127.0.0.1', port },
        http: { host: '127.0.0.1', port: httpPort },
      }),
      'test',
    );
    const starting = startProxy(config, {
      log: createLog('silent'),
      controlPoint: (name) => (name === 'recovery.fenced' ? recovered.promise : undefined),
    });
    await expect
      .poll(() =>
        connected(port, 'atomshard').then(
          (client) => client.end(),
          () => 'refused',
        ),
      )
      .not.toBe('refused');
    const admin = await connected(port, 'atomshard');
    const status = async () => (await admin.query('SHOW STATUS')).rows[0];
    expect(await status()).toMatchObject({ state: 'Recovering', ready: false, last_recovery_at: null });
    await expect(connected(port, 'app')).rejects.toMatchObject({ code: '57P03' });
    await expect(admin.query('DRAIN')).rejects.toMatchObject({ code: '57P03' });
    const response = await fetch(`http://127.0.0.1:${httpPort}/readyz`);
    expect([response.status, await response.text()]).toEqual([
      503,
      'recovering: the first recovery pass is not over\n',
    ]);
    recovered.resolve();
    const proxy = await starting;
    expect(await status()).toMatchObject({ state: 'Active', ready: true });
    await (await connected(port, 'app')).end();
    await admin.end();
    await proxy.stop();
  });
});

describe('the process', () => {
  it('--instance stands above the file, and SIGHUP reads the file again', async () => {
    const config = testProxyConfig(shards, path.join(directory, 'wal2'), { instance: 'proxy-in-the-file' });
    await using proxy = await ProxyProcess.start({ directory, config, args: ['--instance', 'proxy-7'] });
    expect(proxy.ready.instance).toBe('proxy-7');
    const admin = await connected(proxy.ready.port, 'atomshard');
    const status = async () => (await admin.query('SHOW STATUS')).rows[0];
    expect(await status()).toMatchObject({ instance: 'proxy-7', restart_needed: null });
    const file = path.join(directory, 'proxy.yaml');
    writeFileSync(file, stringify({ ...config, limits: { clientsMax: 3 } }));
    proxy.signal('SIGHUP');
    await expect.poll(async () => (await status()).config_sha256, PATIENCE).toBe(sha256Of(readFileSync(file)));
    expect(await status()).toMatchObject({ instance: 'proxy-7', restart_needed: null, config_error: null });
    await admin.end();
    expect(await proxy.terminate()).toEqual({ code: 0, signal: null });
  });

  it('an instance that cannot be a name is refused with exit code 2', async () => {
    const config = testProxyConfig(shards, path.join(directory, 'wal3'));
    await using proxy = ProxyProcess.spawn({ directory, config, args: ['--instance', 'Proxy_7'] });
    expect(await proxy.exited).toEqual({ code: 2, signal: null });
    expect(proxy.log.join('\n')).toContain('--instance: ');
  });
});
