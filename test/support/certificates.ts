// Certificates for tests: a CA of the test's own, and files as proxies, shards and clients want them.
import { X509Certificate } from 'node:crypto';
import { chownSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TLSSocket } from 'node:tls';
import type { EmbeddedPostgres } from '../../src/dev/embedded-postgres.ts';
import {
  type KeyedCertificate,
  makeAuthority,
  makeServerCertificate,
  type Validity,
} from '../../src/operator/tls/certificate.ts';
import type { Shards } from './postgres.ts';

const DAY_MS = 86_400_000;

export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

/** A CA, and a directory for its files that goes with the test. */
export class TestAuthority implements Disposable {
  readonly directory = mkdtempSync(path.join(tmpdir(), 'atomshard-tls-'));
  readonly authority: KeyedCertificate;
  readonly caFile: string;

  constructor(name = 'test CA') {
    this.authority = makeAuthority(name, validFor(10));
    this.caFile = path.join(this.directory, 'ca.crt');
    writeFileSync(this.caFile, this.authority.certificate);
  }

  get ca(): string {
    return this.authority.certificate;
  }

  server(names: readonly string[], validity: Validity = validFor(1)): KeyedCertificate {
    return makeServerCertificate(this.authority, names, 'test', validity);
  }

  /** Writes a certificate for a proxy as NAME.crt and NAME.key; a second one of the same name takes the first one's place. */
  files(name: string, names: readonly string[] = ['localhost', '127.0.0.1'], validity?: Validity): CertificateFiles {
    const { certificate, privateKey } = this.server(names, validity);
    const files = {
      certFile: path.join(this.directory, `${name}.crt`),
      keyFile: path.join(this.directory, `${name}.key`),
    };
    writeFileSync(files.certFile, certificate);
    writeFileSync(files.keyFile, privateKey);
    return files;
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export function validFor(days: number): Validity {
  return { notBeforeMs: Date.now() - DAY_MS, notAfterMs: Date.now() + days * DAY_MS };
}

/** Ended yesterday. */
export const EXPIRED: Validity = { notBeforeMs: Date.now() - 2 * DAY_MS, notAfterMs: Date.now() - DAY_MS };

/** Gives a running shard a certificate, or another one; returns when it shows it. Clients in clear are served as before. */
export async function encryptShard(shards: Shards, index: number, server: KeyedCertificate): Promise<void> {
  const shard = shards.shard(index);
  writeForServer(shard, 'server.crt', server.certificate);
  writeForServer(shard, 'server.key', server.privateKey);
  for (const [name, value] of [
    ['ssl', 'on'],
    ['ssl_cert_file', 'server.crt'],
    ['ssl_key_file', 'server.key'],
  ]) {
    await shards.query(index, `ALTER SYSTEM SET ${name} = '${value}'`);
  }
  await shards.query(index, 'SELECT pg_reload_conf()');
  const { raw } = new X509Certificate(server.certificate);
  while (!(await shown(shards, index))?.equals(raw)) await new Promise((resolve) => setTimeout(resolve, 20));
}

/** Lines in front of the shard's pg_hba.conf. */
export async function prependAccess(shards: Shards, index: number, lines: readonly string[]): Promise<void> {
  const file = path.join(shards.shard(index).dataDirectory, 'pg_hba.conf');
  await writeFile(file, `${lines.join('\n')}\n${await readFile(file, 'utf8')}`);
  await shards.query(index, 'SELECT pg_reload_conf()');
  for (;;) {
    const [row] = await shards.query<{ count: string }>(index, 'SELECT count(*) FROM pg_hba_file_rules');
    const [loaded] = await shards.query<{ late: boolean }>(
      index,
      `SELECT pg_conf_load_time() < (pg_stat_file('pg_hba.conf')).modification AS late`,
    );
    if (row !== undefined && loaded?.late === false) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** The certificate that the shard shows now; undefined while it takes no TLS. */
async function shown(shards: Shards, index: number): Promise<Buffer | undefined> {
  try {
    const client = await shards.client(index, { ssl: { rejectUnauthorized: false } });
    const { stream } = (client as unknown as { connection: { stream: TLSSocket } }).connection;
    const raw = stream.getPeerX509Certificate()?.raw;
    await client.end();
    return raw;
  } catch {
    return undefined;
  }
}

/** PostgreSQL takes a key only from its own account or root, closed to others. */
function writeForServer({ dataDirectory }: EmbeddedPostgres, name: string, text: string): void {
  const file = path.join(dataDirectory, name);
  writeFileSync(file, text, { mode: 0o600 });
  const { uid, gid } = statSync(dataDirectory);
  if (process.getuid?.() === 0) chownSync(file, uid, gid);
}
