// A proxy in the test's own process whose configuration is a file that the test may change.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { stringify } from 'yaml';
import type { ProxyConfigInput } from '../../src/proxy/config.ts';
import { ConfigFile } from '../../src/proxy/config-file.ts';
import { type RunningProxy, startProxy } from '../../src/proxy/proxy.ts';
import { createLog } from '../../src/telemetry/log.ts';
import type { Shards } from './postgres.ts';
import { testProxyConfig } from './proxy-in-process.ts';

export class FileProxy implements AsyncDisposable {
  readonly running: RunningProxy;
  readonly file: string;
  /** As it was last written. */
  config: ProxyConfigInput;
  readonly #directory: string;
  readonly #clients: pg.Client[] = [];

  private constructor(running: RunningProxy, directory: string, file: string, config: ProxyConfigInput) {
    this.running = running;
    this.#directory = directory;
    this.file = file;
    this.config = config;
  }

  static async start(shards: Shards, overrides: Partial<ProxyConfigInput> = {}): Promise<FileProxy> {
    const directory = mkdtempSync(path.join(tmpdir(), 'atomshard-file-'));
    const config = testProxyConfig(shards, path.join(directory, 'wal'), overrides);
    const place = path.join(directory, 'proxy.yaml');
    writeFileSync(place, stringify(config));
    const file = new ConfigFile(place);
    const loaded = file.load();
    const log = createLog('silent');
    return new FileProxy(await startProxy(loaded.config, { log, from: { file, loaded } }), directory, place, config);
  }

  /** Writes the file; nothing is told. */
  write(change: Partial<ProxyConfigInput>): void {
    this.config = { ...this.config, ...change };
    writeFileSync(this.file, stringify(this.config));
  }

  /** A client of `database`, ended with the proxy; errors while it is idle are collected in `ended`. */
  async client(database = 'app', user = 'postgres', password?: string): Promise<pg.Client & { ended: string[] }> {
    const { port } = this.running;
    const client = new pg.Client({ host: '127.0.0.1', port, database, user, ...(password && { password }) });
    const ended: string[] = [];
    client.on('error', (error: Error & { code?: string }) => ended.push(error.code ?? error.message));
    await client.connect();
    this.#clients.push(client);
    return Object.assign(client, { ended });
  }

  /** An administrator; the test configuration trusts everybody. */
  admin(): Promise<pg.Client> {
    return this.client('atomshard');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.#clients.map((client) => client.end()));
    await this.running.stop();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
