// SCRAM-SHA-256: the RFC's own exchange, both roles against each other, and every way to be refused.
import { describe, expect, it } from 'vitest';
import { chooseBinding } from '../../../src/protocol/channel-binding.ts';
import { md5Response } from '../../../src/protocol/md5-password.ts';
import { saslPrep } from '../../../src/protocol/sasl-prep.ts';
import {
  ScramClient,
  ScramKeyCache,
  ScramServer,
  type ScramStep,
  scramFaultError,
} from '../../../src/protocol/scram.ts';
import {
  deriveVerifier,
  mockVerifier,
  parseVerifier,
  renderVerifier,
  type ScramVerifier,
  verifierFor,
} from '../../../src/protocol/scram-keys.ts';

/** A proof of the right size that proves nothing. */
const PROOF = `p=${Buffer.alloc(32).toString('base64')}`;

const RFC = {
  salt: Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64'),
  clientNonce: 'rOprNGfwEbeRWgbNEkqO',
  serverNonce: '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0',
};

const textOf = (step: ScramStep) => (step.kind === 'send' ? step.message : `${step.kind}: ${step.message}`);

async function logIn(verifier: ScramVerifier, password: string): Promise<string> {
  const server = new ScramServer(verifier);
  const client = new ScramClient(password, new ScramKeyCache());
  const first = server.first(Buffer.from(client.first()));
  if (first.kind !== 'send') return `server: ${first.kind}`;
  const proof = await client.continue(Buffer.from(first.message));
  if (proof.kind !== 'send') return `client: ${proof.kind}`;
  const last = server.final(Buffer.from(proof.message));
  if (last.kind !== 'send') return `server: ${last.kind}`;
  return client.finish(Buffer.from(last.message)) === undefined ? 'in' : 'client: refuses';
}

describe('SCRAM-SHA-256', () => {
  it('is the exchange of RFC 7677 §3, byte for byte, in both roles', async () => {
    const server = new ScramServer(await deriveVerifier('pencil', { salt: RFC.salt, iterations: 4096 }), {
      serverNonce: RFC.serverNonce,
    });
    const client = new ScramClient('pencil', new ScramKeyCache(), { clientNonce: RFC.clientNonce, user: 'user' });
    expect(client.first()).toBe('n,,n=user,r=rOprNGfwEbeRWgbNEkqO');
    const nonce = RFC.clientNonce + RFC.serverNonce;
    const serverFirst = textOf(server.first(Buffer.from(client.first())));
    expect(serverFirst).toBe(`r=${nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`);
    const clientFinal = textOf(await client.continue(Buffer.from(serverFirst)));
    expect(clientFinal).toBe(`c=biws,r=${nonce},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=`);
    const serverFinal = textOf(server.final(Buffer.from(clientFinal)));
    expect(serverFinal).toBe('v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=');
    expect(client.finish(Buffer.from(serverFinal))).toBeUndefined();
  });

  it('lets the right password in, and a wrong password or an unknown user out the same way', async () => {
    const verifier = await deriveVerifier('secret', { iterations: 64 });
    expect(await logIn(verifier, 'secret')).toBe('in');
    expect(await logIn(verifier, 'Secret')).toBe('server: wrong-proof');
    expect(await logIn(mockVerifier('nobody', Buffer.alloc(32, 1)), 'secret')).toBe('server: wrong-proof');
    expect(scramFaultError({ kind: 'wrong-proof', message: '' }, 'ann')).toEqual({
      severity: 'FATAL',
      code: '28P01',
      message: 'password authentication failed for user "ann"',
    });
  });

  it('gives an unknown user the same salt each time, and another user another one', () => {
    const secret = Buffer.alloc(32, 5);
    expect(mockVerifier('a', secret).salt).toEqual(mockVerifier('a', secret).salt);
    expect(mockVerifier('a', secret).salt).not.toEqual(mockVerifier('b', secret).salt);
    expect(mockVerifier('a', secret)).toMatchObject({ iterations: 4096 });
    expect(mockVerifier('a', secret).salt).toHaveLength(16);
  });

  it('reads and writes verifiers as PostgreSQL stores them, and takes nothing else for one', async () => {
    const verifier = await deriveVerifier('pencil', { salt: RFC.salt });
    const text = renderVerifier(verifier);
    expect(text).toMatch(/^SCRAM-SHA-256\$4096:W22ZaJ0SNY7soEsUEjb6gQ==\$[^:]{44}:[^:]{44}$/);
    expect(parseVerifier(text)).toEqual(verifier);
    expect(await verifierFor(text)).toEqual(verifier);
    for (const other of ['', 'pencil', 'md5abc', text.replace('4096', '0'), text.slice(0, -1), `${text}x`]) {
      expect(parseVerifier(other)).toBeUndefined();
    }
  });

  it.each([
    ['no GS2 header', 'n=,r=abc', 'malformed'],
    ['channel binding that was not offered', 'p=tls-server-end-point,,n=,r=abc', 'malformed'],
    ['another identity', 'n,a=root,n=,r=abc', 'unsupported'],
    ['an extension', 'n,,m=x,n=,r=abc', 'unsupported'],
    ['no nonce', 'n,,n=', 'malformed'],
    ['a nonce with control characters', 'n,,n=,r=a\u0001b', 'malformed'],
    ['nothing', '', 'malformed'],
  ])('refuses a first message with %s', (_, message, kind) => {
    const server = new ScramServer(mockVerifier('a', Buffer.alloc(32)));
    expect(server.first(Buffer.from(message)).kind).toBe(kind);
  });

  it.each([
    ['another channel-binding value', `c=eSws,r=abcN,${PROOF}`, 'malformed'],
    ['another nonce', `c=biws,r=abcX,${PROOF}`, 'malformed'],
    ['no proof', 'c=biws,r=abcN', 'malformed'],
    ['a proof that is wrong', `c=biws,r=abcN,${PROOF}`, 'wrong-proof'],
    ['a proof of the wrong size', 'c=biws,r=abcN,p=AAAA', 'malformed'],
  ])('refuses a last message with %s', (_, message, kind) => {
    const server = new ScramServer(mockVerifier('a', Buffer.alloc(32)), { serverNonce: 'N' });
    expect(server.first(Buffer.from('n,,n=,r=abc')).kind).toBe('send');
    expect(server.final(Buffer.from(message)).kind).toBe(kind);
  });

  it.each([
    ['both ends bound to one certificate', 'A', 'A', 'in'],
    ['a client bound to the certificate of somebody in between', 'B', 'A', 'server: malformed'],
    ['a client without TLS', undefined, undefined, 'in'],
  ])('with channel binding: %s', async (_, clientSees, serverHas, outcome) => {
    const verifier = await deriveVerifier('pencil', { iterations: 4096 });
    const endPoint = (name: string | undefined) => (name === undefined ? undefined : Buffer.alloc(32, name));
    const server = new ScramServer(verifier, { endPoint: endPoint(serverHas) });
    const binding = chooseBinding(server.mechanisms, endPoint(clientSees));
    if (binding === undefined) throw new Error('nothing to choose');
    const client = new ScramClient('pencil', new ScramKeyCache(), { binding });
    const first = server.first(Buffer.from(client.first()), binding.mechanism);
    const proof = await client.continue(Buffer.from(textOf(first)));
    const last = server.final(Buffer.from(textOf(proof)));
    expect(last.kind === 'send' ? 'in' : `server: ${last.kind}`).toBe(outcome);
  });

  it('says which binding it chose: bound where it can, unoffered where a list lacks it, none without TLS', () => {
    const endPoint = Buffer.alloc(32, 'A');
    const header = (mechanisms: string[], at?: Buffer) => chooseBinding(mechanisms, at)?.header;
    expect(header(['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256'], endPoint)).toBe('p=tls-server-end-point,,');
    expect(header(['SCRAM-SHA-256'], endPoint)).toBe('y,,');
    expect(header(['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256'])).toBe('n,,');
    expect(header(['SCRAM-SHA-256-PLUS'])).toBeUndefined();
  });

  it.each([
    ['SCRAM-SHA-256', 'y,,n=,r=abc', 'downgrade'],
    ['SCRAM-SHA-256', 'n,,n=,r=abc', 'send'],
    ['SCRAM-SHA-256', 'p=tls-server-end-point,,n=,r=abc', 'malformed'],
    ['SCRAM-SHA-256-PLUS', 'n,,n=,r=abc', 'malformed'],
    ['SCRAM-SHA-256-PLUS', 'y,,n=,r=abc', 'malformed'],
    ['SCRAM-SHA-256-PLUS', 'p=tls-unique,,n=,r=abc', 'unsupported'],
    ['SCRAM-SHA-256-PLUS', 'p=tls-server-end-point,,n=,r=abc', 'send'],
  ])('where binding is offered, %s with %s is %s', (mechanism, text, kind) => {
    const server = new ScramServer(mockVerifier('a', Buffer.alloc(32)), { endPoint: Buffer.alloc(32) });
    const step = server.first(Buffer.from(text), mechanism);
    expect(step.kind).toBe(kind);
    if (step.kind === 'downgrade') {
      expect(scramFaultError(step, 'a')).toMatchObject({
        code: '28000',
        message: 'SCRAM channel binding negotiation error',
      });
    }
  });

  it('as a client believes no server that does not prove that it knows the password', async () => {
    const client = () => new ScramClient('secret', new ScramKeyCache(), { clientNonce: 'mine' });
    const salt = Buffer.alloc(16).toString('base64');
    expect((await client().continue(Buffer.from(`r=other,s=${salt},i=10`))).kind).toBe('malformed');
    expect((await client().continue(Buffer.from(`r=mine,s=${salt},i=10`))).kind).toBe('malformed');
    expect((await client().continue(Buffer.from(`r=mineX,s=${salt},i=900000000`))).kind).toBe('malformed');
    expect((await client().continue(Buffer.from(`r=mineX,s=${salt},i=0`))).kind).toBe('malformed');
    const good = client();
    expect((await good.continue(Buffer.from(`r=mineX,s=${salt},i=10`))).kind).toBe('send');
    expect(good.finish(Buffer.from(`v=${Buffer.alloc(32).toString('base64')}`))?.kind).toBe('wrong-proof');
    expect(good.finish(Buffer.from('e=other-error'))?.kind).toBe('wrong-proof');
    expect(good.finish(Buffer.from('v=short'))?.kind).toBe('malformed');
  });

  it('derives keys once for the connections of one pool, and again when the salt changes', async () => {
    const cache = new ScramKeyCache();
    const keys = cache.keys('p', Buffer.from('salt'), 10);
    expect(cache.keys('p', Buffer.from('salt'), 10)).toBe(keys);
    expect(cache.keys('p', Buffer.from('other'), 10)).not.toBe(keys);
    await keys;
  });
});

describe('SASLprep', () => {
  it.each([
    ['ASCII', 'a b', 'a b'],
    ['a soft hyphen vanishes (RFC 4013)', 'I\u00ADX', 'IX'],
    ['compatibility forms are folded (RFC 4013)', '\u00AA\u2168', 'aIX'],
    ['a no-break space is a space', 'a\u00A0b', 'a b'],
    ['a control character leaves it as it is', 'a\u0007\u00AA', 'a\u0007\u00AA'],
    ['mixed directions leave it as it is (RFC 4013)', '\u0627\u0031\u00AA', '\u0627\u0031\u00AA'],
    ['right-to-left text stays', '\u0627\u0628', '\u0627\u0628'],
    ['an emoji, unassigned in Unicode 3.2, leaves it as it is', 'a\u00A0😀', 'a\u00A0😀'],
  ])('%s', (_, password, prepared) => {
    expect(saslPrep(password)).toBe(prepared);
  });
});

describe('md5 passwords', () => {
  it('answers as libpq does', () => {
    // Computed with: select 'md5' || md5(md5('secret' || 'ann') || 'salt').
    expect(md5Response('ann', 'secret', Buffer.from('salt'))).toBe('md5b8f5ba9f485dba302ec0963f7ee9ba8f');
  });
});
