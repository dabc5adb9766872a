import { describe, expect, it } from 'vitest';
import { KubeClient } from '../../../../src/operator/kube/client.ts';
import type { KubeError } from '../../../../src/operator/kube/kube-error.ts';
import { resource } from '../../../../src/operator/kube/resource.ts';
import { TransportFailure } from '../../../../src/operator/kube/transport.ts';
import { ManualClock } from '../../../support/manual-clock.ts';
import { FakeTransport, type Reply, status } from './fake-transport.ts';

const MAPS = resource('v1', 'ConfigMap', 'configmaps');
const object = { metadata: { namespace: 'a', name: 'm', managedFields: [{}] }, data: { kept: 'yes' }, strange: 1 };
const found: Reply = { json: { metadata: { name: 'm', namespace: 'a' } } };

function ground(...replies: Reply[]) {
  const transport = new FakeTransport(...replies);
  const clock = new ManualClock();
  let writable = Number.POSITIVE_INFINITY;
  const gate = { writableMs: () => writable };
  const client = new KubeClient({ transport, clock, random: () => 0.5, fieldManager: 'tester', gate });
  return { transport, clock, client, leadFor: (ms: number) => (writable = ms) };
}

/** The error of a call, with time passing so that its retries happen. */
async function failure(clock: ManualClock, call: Promise<unknown>): Promise<KubeError> {
  const outcome = call.then(
    () => Promise.reject(new Error('it worked')),
    (error: unknown) => error as KubeError,
  );
  await clock.pass(60_000);
  return await outcome;
}

describe('the client', () => {
  it('applies a plain object unchanged, with the content type of apply, one field manager and strict validation', async () => {
    const { transport, client } = ground(found);
    await client.apply(MAPS, object);
    const [sent] = transport.requests;
    expect(sent?.path).toBe('/api/v1/namespaces/a/configmaps/m?fieldManager=tester&fieldValidation=Strict&force=true');
    expect([sent?.method, sent?.contentType]).toEqual(['PATCH', 'application/apply-patch+yaml']);
    expect(JSON.parse(sent?.body ?? '')).toEqual({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { namespace: 'a', name: 'm' },
      data: { kept: 'yes' },
      strange: 1,
    });
  });

  it('lists page by page and names the kind of each item, which lists of built-in kinds leave out', async () => {
    const page = (name: string, next?: string): Reply => ({
      json: { metadata: { resourceVersion: '7', continue: next }, items: [{ metadata: { name } }] },
    });
    const { transport, client } = ground(page('m', 'more'), page('n'));
    const list = await client.list(MAPS, { namespace: 'a', labelSelector: 'x=y' });
    expect(list.items.map(({ kind, metadata }) => `${kind} ${metadata.name}`)).toEqual(['ConfigMap m', 'ConfigMap n']);
    expect(list.resourceVersion).toBe('7');
    expect(transport.requests[1]?.path).toContain('labelSelector=x%3Dy&limit=500&continue=more');
  });

  it('reads a log as the text that it is, and an error of it as an error', async () => {
    const { transport, clock, client } = ground({ json: '{"line":1}\nno JSON' }, status(404, 'NotFound'));
    const pod = { namespace: 'a', name: 'p' };
    expect(await client.log(pod, { container: 'main' })).toBe('{"line":1}\nno JSON');
    expect(transport.requests[0]?.path).toBe('/api/v1/namespaces/a/pods/p/log?container=main');
    expect((await failure(clock, client.log(pod))).kind).toBe('notFound');
  });

  it.each([
    [404, 'NotFound', 'notFound'],
    [409, 'AlreadyExists', 'alreadyExists'],
    [409, 'Conflict', 'conflict'],
    [422, 'Invalid', 'invalid'],
    [403, 'Forbidden', 'forbidden'],
    [410, 'Expired', 'gone'],
  ] as const)(
    'answers %i %s with the kind %s, in the words of the server, at the first attempt',
    async (code, reason, kind) => {
      const { transport, clock, client } = ground(
        status(code, reason, 'because', [{ reason: 'NamespaceTerminating', message: '', field: '' }]),
      );
      const error = await failure(clock, client.get(MAPS, object.metadata));
      expect([error.kind, error.message]).toEqual([kind, 'get ConfigMap a/m: because']);
      expect(error.hasCause('NamespaceTerminating')).toBe(true);
      expect(transport.requests).toHaveLength(1);
    },
  );

  it('takes the 500 that apply answers to an unknown field for what it is, and does not repeat it', async () => {
    const said = 'failed to create typed patch object (a/m; /v1, Kind=ConfigMap): .datta: field not declared in schema';
    const { transport, clock, client } = ground(status(500, '', said));
    const error = await failure(clock, client.apply(MAPS, object));
    expect([error.kind, transport.requests.length]).toEqual(['invalid', 1]);
  });

  it('repeats what has the same effect twice after 500 and broken connections', async () => {
    const broken = { fails: new TransportFailure('ECONNRESET', true, undefined) };
    const { transport, clock, client } = ground(status(500, 'InternalError'), broken, found);
    const applied = client.apply(MAPS, object);
    await clock.pass(10_000);
    expect((await applied).metadata.name).toBe('m');
    expect(transport.requests).toHaveLength(3);
  });

  it('does not repeat a create that may have happened, and says so', async () => {
    const { transport, clock, client } = ground({ fails: new TransportFailure('ECONNRESET', true, undefined) });
    const error = await failure(clock, client.create(MAPS, object));
    expect([error.kind, error.mayHaveHappened, transport.requests.length]).toEqual(['unavailable', true, 1]);
  });

  it('repeats a create that certainly did not happen: connection refused, or 429 after the time the server asks for', async () => {
    const refused = { fails: new TransportFailure('ECONNREFUSED', false, undefined) };
    const { clock, client } = ground(refused, { ...status(429, 'TooManyRequests'), retryAfter: '3' }, found);
    const created = client.create(MAPS, object);
    await clock.pass(10_000);
    await created;
    expect(clock.slept).toContain(3_000);
  });

  it('stops repeating when the budget of all calls together is spent', async () => {
    const { transport, clock, client } = ground(status(503, 'ServiceUnavailable'));
    for (let call = 0; call < 20; call += 1) await failure(clock, client.get(MAPS, object.metadata));
    // 20 first attempts, and 10 + 20 × 0.1 repetitions at most, where 3 for each would be 60.
    expect(transport.requests.length).toBeLessThanOrEqual(32);
    expect(transport.requests.length).toBeGreaterThan(25);
  });

  it('gives a call up that is not answered in time', async () => {
    const { clock, client } = ground({ hangs: true });
    const error = await failure(clock, client.get(MAPS, object.metadata, { timeoutMs: 5_000 }));
    expect([error.kind, error.message]).toEqual(['timeout', 'get ConfigMap a/m: no answer in time']);
  });

  it('sends no write once it may not lead any more, and still reads', async () => {
    const { transport, clock, client, leadFor } = ground(found);
    leadFor(0);
    const error = await failure(clock, client.apply(MAPS, object));
    expect([error.kind, error.mayHaveHappened, transport.requests.length]).toEqual(['notLeader', false, 0]);
    await client.get(MAPS, object.metadata);
  });

  it('cuts a write off at the moment from which another may lead', async () => {
    const { clock, client, leadFor } = ground({ hangs: true });
    leadFor(2_000);
    const outcome = client.apply(MAPS, object, { timeoutMs: 2_500 }).catch((error: KubeError) => error.kind);
    await clock.pass(1_999);
    leadFor(0);
    await clock.pass(2_000);
    expect(await outcome).toMatch(/timeout|notLeader/);
    expect(clock.slept[0]).toBe(2_000);
  });

  it('names an answer that is not JSON, or not an object', async () => {
    const { clock, client } = ground({ json: '<html>' }, { json: { metadata: {} } });
    expect((await failure(clock, client.get(MAPS, object.metadata))).kind).toBe('malformed');
    expect((await failure(clock, client.get(MAPS, object.metadata))).kind).toBe('malformed');
  });
});

describe('a watch', () => {
  const event = (type: string, body: object) => `${JSON.stringify({ type, object: body })}\n`;

  async function seen(text: string, code = 200): Promise<unknown[]> {
    const { client } = ground(code === 200 ? { json: text } : status(code, 'Forbidden'));
    const events: unknown[] = [];
    try {
      const options = { resourceVersion: '1', timeoutSeconds: 300 };
      for await (const change of client.watch(MAPS, options, new AbortController().signal)) {
        events.push('object' in change ? `${change.kind} ${change.object.metadata.name}` : change.kind);
      }
    } catch (error) {
      events.push((error as KubeError).kind);
    }
    return events;
  }

  it('yields changes and bookmarks, and drops a last line that is cut', async () => {
    const text =
      event('ADDED', { metadata: { name: 'm' } }) +
      event('BOOKMARK', { metadata: { resourceVersion: '9' } }) +
      event('DELETED', { metadata: { name: 'm' } });
    expect(await seen(`${text}{"type":"ADD`)).toEqual(['opened', 'added m', 'bookmark', 'deleted m']);
  });

  it('turns the 410 inside a stream into gone, and a refused watch into its kind', async () => {
    expect(await seen(event('ERROR', { kind: 'Status', code: 410, reason: 'Expired' }))).toEqual(['opened', 'gone']);
    expect(await seen('', 403)).toEqual(['forbidden']);
  });

  it('names events that are not what the API promises', async () => {
    expect(await seen('nonsense\n')).toEqual(['opened', 'malformed']);
    expect(await seen(event('CHANGED', { metadata: { name: 'm' } }))).toEqual(['opened', 'malformed']);
  });
});
