// The certificate for clients: when its files are looked at again, and what happens when they cannot be used.
import { copyFileSync, rmSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ClientEncryption } from '../../../src/proxy/client-encryption.ts';
import { ConfigError, checkProxyConfig } from '../../../src/proxy/config.ts';
import type { Logger } from '../../../src/telemetry/log.ts';
import { TestAuthority } from '../../support/certificates.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const authority = new TestAuthority();
afterAll(() => authority[Symbol.dispose]());

class Ground {
  readonly clock = new ManualClock();
  readonly said: string[] = [];
  readonly files;
  readonly encryption: ClientEncryption;

  constructor(name: string) {
    this.files = authority.files(name);
    const say = (first: unknown, second?: string) => this.said.push(second ?? String(first));
    const log = { info: say, error: say } as unknown as Logger;
    const opened = ClientEncryption.open({ mode: 'allow', ...this.files }, { clock: this.clock, log });
    if (opened === undefined) throw new Error('TLS is on');
    this.encryption = opened;
  }

  /** The hash that a client who comes now would bind to; another certificate, another hash. */
  endPoint(): string | undefined {
    const { socket, endPoint } = this.encryption.accept(new Socket());
    socket.destroy();
    return endPoint?.toString('hex');
  }
}

describe('the certificate for clients', () => {
  it('is looked at again at most once a second', async () => {
    const ground = new Ground('once');
    const first = ground.endPoint();
    authority.files('once');
    await ground.clock.pass(999);
    expect(ground.endPoint()).toBe(first);
    await ground.clock.pass(1);
    expect(ground.endPoint()).not.toBe(first);
    expect(ground.said).toEqual(['the certificate for clients was exchanged']);
  });

  it('stays in force while the files cannot be used, which is said once for each reason', async () => {
    const ground = new Ground('broken');
    const first = ground.endPoint();
    writeFileSync(ground.files.keyFile, 'no key');
    for (let second = 0; second < 3; second++) {
      await ground.clock.pass(1_000);
      expect(ground.endPoint()).toBe(first);
    }
    rmSync(ground.files.keyFile);
    await ground.clock.pass(1_000);
    expect(ground.endPoint()).toBe(first);
    expect(ground.said).toEqual([
      expect.stringMatching(/^certFile and keyFile cannot be used: .*the certificate before it stays in force$/),
      expect.stringContaining('ENOENT'),
    ]);
    authority.files('broken');
    await ground.clock.pass(1_000);
    expect(ground.endPoint()).not.toBe(first);
  });

  it('may be a chain, of which the first counts', () => {
    const { certFile, keyFile } = authority.files('chain');
    const { certificate } = authority.server(['other']);
    const chain = path.join(authority.directory, 'chain.pem');
    copyFileSync(certFile, chain);
    writeFileSync(chain, certificate, { flag: 'a' });
    const log = {} as Logger;
    expect(
      ClientEncryption.open({ mode: 'require', certFile: chain, keyFile }, { clock: new ManualClock(), log })?.required,
    ).toBe(true);
  });

  it('that cannot be used is a fault of the configuration', () => {
    const deps = { clock: new ManualClock(), log: {} as Logger };
    expect(ClientEncryption.open({ mode: 'disable' }, deps)).toBeUndefined();
    const open = () =>
      ClientEncryption.open({ mode: 'allow', certFile: '/nowhere.crt', keyFile: '/nowhere.key' }, deps);
    expect(open).toThrow(ConfigError);
    expect(open).toThrow(/tls: certFile and keyFile cannot be used: ENOENT.*nowhere\.crt/);
  });
});

describe('tls in the configuration', () => {
  const base = {
    cluster: 'test',
    wal: { directory: '/tmp/x' },
    authentication: { method: 'trust' },
    resolver: { user: 'postgres' },
  };
  const shard = { name: 'shard-0', host: 'h' };
  const problemsOf = (document: object): readonly string[] => {
    try {
      checkProxyConfig({ ...base, shards: [shard], ...document }, 'test');
      return [];
    } catch (error) {
      return error instanceof ConfigError ? error.problems : [String(error)];
    }
  };

  it('is off towards clients and shards unless it is said', () => {
    const config = checkProxyConfig({ ...base, shards: [shard] }, 'test');
    expect([config.tls, config.shards[0]?.tls]).toEqual([{ mode: 'disable' }, { mode: 'disable' }]);
  });

  it.each([
    [{ tls: { mode: 'on' } }, ['tls.mode: must be disable, allow or require']],
    [{ tls: { mode: 'allow', certFile: '/c' } }, ['tls.keyFile: Invalid input: expected string, received undefined']],
    [{ tls: { mode: 'disable', certFile: '/c' } }, ['tls.certFile: unknown key']],
    [
      { shards: [{ ...shard, tls: { mode: 'verify-ca' } }] },
      ['shards.0.tls.mode: must be disable, require or verify-full'],
    ],
    [{ shards: [{ ...shard, tls: { mode: 'require', caFile: '/c' } }] }, ['shards.0.tls.caFile: unknown key']],
    [
      { shards: [{ ...shard, tls: { mode: 'verify-full' } }] },
      ['shards.0.tls.caFile: Invalid input: expected string, received undefined'],
    ],
    [
      { shards: [{ name: 'shard-0', host: '/tmp', tls: { mode: 'require' } }] },
      ['shards: shard-0 is reached by a Unix socket, which PostgreSQL never encrypts; leave out its tls'],
    ],
  ])('%j is refused', (document, problems) => {
    expect(problemsOf(document)).toEqual(problems);
  });
});
