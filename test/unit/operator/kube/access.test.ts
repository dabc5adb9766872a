import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { inClusterAccess, serverFromEnv } from '../../../../src/operator/kube/in-cluster-access.ts';
import { readKubeconfig } from '../../../../src/operator/kube/kubeconfig.ts';
import { kubeconfigAccess, readCredential } from '../../../../src/operator/kube/kubeconfig-access.ts';
import { ManualClock } from '../../../support/manual-clock.ts';

const config = (cluster: string, user: string) => `
current-context: here
contexts: [{name: here, context: {cluster: c, user: u, namespace: shop}}]
clusters: [{name: c, cluster: {${cluster}}}]
users: [{name: u, user: {${user}}}]
`;
const SERVER = 'server: "https://api.test:6443"';

async function folder(files: Record<string, string>): Promise<AsyncDisposable & { at: string }> {
  const at = await mkdtemp(path.join(tmpdir(), 'atomshard-access-'));
  for (const [name, text] of Object.entries(files)) await writeFile(path.join(at, name), text);
  return { at, [Symbol.asyncDispose]: () => rm(at, { recursive: true }) };
}

describe('a kubeconfig', () => {
  it('gives server, namespace, certificates and token of its current context', () => {
    const ca = Buffer.from('CA').toString('base64');
    const read = readKubeconfig(config(`${SERVER}, certificate-authority-data: ${ca}, tls-server-name: k`, 'token: t'));
    expect(read).toMatchObject({
      namespace: 'shop',
      ca: { text: 'CA' },
      token: { text: 't' },
      tls: { serverName: 'k' },
    });
    expect(read.server.host).toBe('api.test:6443');
  });

  it.each([
    ['', 'the kubeconfig is empty'],
    ['a: [', 'the kubeconfig is not YAML'],
    ['{}', 'the kubeconfig has no current-context; name a context'],
    ['current-context: x', 'the kubeconfig has no context named "x"'],
    [config('server: "http://api.test"', ''), "the kubeconfig's server http://api.test is not https"],
    [config('server: nowhere', ''), `the kubeconfig's server "nowhere" is not a URL`],
    [
      config(`${SERVER}, proxy-url: "http://p"`, ''),
      'the kubeconfig uses proxy-url, which is not supported; use a token, a certificate or exec',
    ],
    [config(SERVER, 'as: root'), 'the kubeconfig uses as, which is not supported; use a token, a certificate or exec'],
  ])('%j is refused by name', (text, message) => {
    expect(() => readKubeconfig(text)).toThrow(message);
  });

  it('reads files beside it, and the token file again each minute while connections stay', async () => {
    await using place = await folder({
      config: config(`${SERVER}, certificate-authority: ca.pem`, 'tokenFile: token'),
      'ca.pem': 'CA',
      token: 'one\n',
    });
    const clock = new ManualClock();
    const source = kubeconfigAccess({ clock, file: path.join(place.at, 'config'), env: {} });
    const first = await source.current();
    expect([first.tls.ca, first.token]).toEqual(['CA', 'one']);
    await writeFile(path.join(place.at, 'token'), 'two');
    expect((await source.current()).token).toBe('one');
    await clock.pass(60_000);
    const second = await source.current();
    expect([second.token, second.tls === first.tls]).toEqual(['two', true]);
  });

  it('runs a credential program and takes its token', async () => {
    const print = `console.log(JSON.stringify({status: {token: process.env.KUBERNETES_EXEC_INFO ? "from " + process.env.WHO : ""}}))`;
    const exec = { command: process.execPath, args: ['-e', print], env: [{ name: 'WHO', value: 'me' }] };
    await using place = await folder({ config: config(SERVER, `exec: ${JSON.stringify(exec)}`) });
    const source = kubeconfigAccess({ clock: new ManualClock(), file: path.join(place.at, 'config'), env: {} });
    expect((await source.current()).token).toBe('from me');
    expect(() => readCredential('{}')).toThrow('neither a token nor a certificate');
  });
});

describe('access of a pod', () => {
  const env = { KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443' };

  it('reads the token again after a minute, or at once when the server refused it', async () => {
    await using place = await folder({ token: 'one', 'ca.crt': 'CA' });
    const clock = new ManualClock();
    const source = inClusterAccess({ clock, env, directory: place.at });
    const first = await source.current();
    await writeFile(path.join(place.at, 'token'), 'two');
    expect((await source.current()).token).toBe('one');
    source.refused();
    const second = await source.current();
    expect([second.token, second.tls === first.tls]).toEqual(['two', true]);
    await writeFile(path.join(place.at, 'ca.crt'), 'new CA');
    await clock.pass(60_000);
    expect((await source.current()).tls.ca).toBe('new CA');
  });

  it('keeps the token that it has while the file is being replaced', async () => {
    await using place = await folder({ token: 'one', 'ca.crt': 'CA' });
    const clock = new ManualClock();
    const source = inClusterAccess({ clock, env, directory: place.at });
    await source.current();
    await rm(path.join(place.at, 'token'));
    await clock.pass(60_000);
    expect((await source.current()).token).toBe('one');
  });

  it('knows IPv6, and says outside a pod that it is not in one', () => {
    expect(serverFromEnv({ KUBERNETES_SERVICE_HOST: 'fd00::1' })?.href).toBe('https://[fd00::1]/');
    expect(() => inClusterAccess({ clock: new ManualClock(), env: {} })).toThrow('KUBERNETES_SERVICE_HOST');
  });
});
