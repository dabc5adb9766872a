import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { KubeError } from '../../../../src/operator/kube/kube-error.ts';
import { Reflector, type ReflectorOptions } from '../../../../src/operator/kube/reflector.ts';
import { nextStep } from '../../../../src/operator/kube/reflector-step.ts';
import { type KubeObject, resource } from '../../../../src/operator/kube/resource.ts';
import type { WatchEvent } from '../../../../src/operator/kube/watch-stream.ts';
import { ManualClock } from '../../../support/manual-clock.ts';

const MAPS = resource('v1', 'ConfigMap', 'configmaps');

const map = (name: string, resourceVersion: string, uid = name): KubeObject => ({
  metadata: { namespace: 'a', name, resourceVersion, uid },
});

/** `end` ends the watch in good order, `quiet` leaves it open. */
type WatchScript = readonly (WatchEvent | KubeError | 'end' | 'quiet')[];
type ListScript = readonly KubeObject[] | KubeError;

class ScriptedServer {
  readonly asked: string[] = [];
  readonly #lists: ListScript[];
  readonly #watches: WatchScript[];

  constructor(lists: ListScript[], watches: WatchScript[]) {
    this.#lists = lists;
    this.#watches = watches;
  }

  async list() {
    this.asked.push('list');
    const script = (this.#lists.length > 1 ? this.#lists.shift() : this.#lists[0]) ?? [];
    if (script instanceof KubeError) throw script;
    return { items: script, resourceVersion: '100' };
  }

  async *watch(_type: unknown, { resourceVersion }: { resourceVersion: string }, signal: AbortSignal) {
    this.asked.push(`watch ${resourceVersion}`);
    for (const step of this.#watches.shift() ?? ['quiet']) {
      if (step instanceof KubeError) throw step;
      if (step === 'end') return;
      if (step !== 'quiet') yield step;
      else {
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
        throw new KubeError('aborted', 'aborted');
      }
    }
  }
}

async function ground(
  lists: ListScript[],
  watches: WatchScript[],
  options: Partial<ReflectorOptions<KubeObject>> = {},
) {
  const server = new ScriptedServer(lists, watches);
  const clock = new ManualClock();
  const problems: unknown[] = [];
  const client = server as unknown as ReflectorOptions<KubeObject>['client'];
  const onProblem = (error: unknown) => problems.push(error);
  const reflector = new Reflector({ client, type: MAPS, clock, random: () => 0, onProblem, ...options });
  const told: string[] = [];
  reflector.subscribe(
    (change) => void told.push(`${change.kind} ${change.key}@${change.object.metadata.resourceVersion}`),
  );
  const stop = new AbortController();
  const run = reflector.run(stop.signal);
  for (let turn = 0; turn < 20; turn += 1) await setImmediate();
  const end = async () => {
    stop.abort();
    await run;
  };
  return { server, clock, problems, reflector, told, end };
}

const opened: WatchEvent = { kind: 'opened' };
const reset = new KubeError('unavailable', 'socket hang up');
const gone = new KubeError('gone', 'too old');

describe('the reflector', () => {
  it('tells what a list and then a watch show, and follows the version of bookmarks', async () => {
    const { server, clock, reflector, told, end } = await ground(
      [[map('m', '1')]],
      [[opened, { kind: 'modified', object: map('m', '101') }, { kind: 'bookmark', resourceVersion: '150' }, 'end']],
    );
    await clock.pass(1);
    expect(told).toEqual(['added a/m@1', 'updated a/m@101']);
    expect(server.asked).toEqual(['list', 'watch 100', 'watch 150']);
    expect(reflector.get({ namespace: 'a', name: 'm' })?.metadata.resourceVersion).toBe('101');
    await end();
  });

  it.each([
    ['a socket reset', reset],
    ['403', new KubeError('forbidden', 'no')],
    ['500', new KubeError('unavailable', 'internal')],
  ])(
    'the informer of client-node dies for good on %s: this one watches on from the last version',
    async (_name, error) => {
      const { server, clock, told, end, problems } = await ground(
        [[]],
        [
          [opened, { kind: 'added', object: map('m', '101') }, error],
          [opened, { kind: 'added', object: map('n', '102') }, 'quiet'],
        ],
      );
      await clock.pass(1_000);
      expect(server.asked).toEqual(['list', 'watch 100', 'watch 101']);
      expect(told).toEqual(['added a/m@101', 'added a/n@102']);
      expect(problems).toEqual([error]);
      await end();
    },
  );

  it('client-node resolves start() when the first list failed: this one is synced only after a list that worked', async () => {
    const { clock, reflector, end } = await ground([new KubeError('forbidden', 'no'), reset, []], []);
    expect([reflector.hasSynced, reflector.problem?.kind]).toEqual([false, 'forbidden']);
    await clock.pass(250);
    expect([reflector.hasSynced, reflector.problem?.kind]).toEqual([false, 'unavailable']);
    await clock.pass(500);
    await reflector.synced;
    expect([reflector.hasSynced, reflector.problem]).toEqual([true, undefined]);
    await end();
  });

  it('lists again after 410 and tells what was deleted and made anew meanwhile', async () => {
    const { server, clock, told, end } = await ground(
      [
        [map('kept', '1'), map('lost', '2'), map('anew', '3', 'first')],
        [map('kept', '1'), map('anew', '9', 'second')],
      ],
      [[opened, { kind: 'bookmark', resourceVersion: '101' }, gone]],
    );
    await clock.pass(1);
    expect(server.asked).toEqual(['list', 'watch 100', 'list', 'watch 100']);
    expect(told.slice(3)).toEqual(['deleted a/lost@2', 'deleted a/anew@3', 'added a/anew@9']);
    await end();
  });

  it('a server that says 410 after every list is asked ever more rarely', async () => {
    const { server, clock, end } = await ground(
      [[]],
      Array.from({ length: 1_000 }, () => [opened, gone]),
    );
    await clock.pass(60_000);
    expect(server.asked.filter((call) => call === 'list').length).toBeLessThan(20);
    await end();
  });

  it('a watch that always fails before its first event leads to a new list, as the version may be the fault', async () => {
    const { server, clock, end } = await ground([[]], [[reset], [reset], [reset], ['quiet']]);
    await clock.pass(20_000);
    expect(server.asked).toEqual(['list', 'watch 100', 'watch 100', 'watch 100', 'list', 'watch 100']);
    await end();
  });

  it('ends a watch that says nothing, not even a bookmark, and watches on', async () => {
    const { server, clock, reflector, problems, end } = await ground([[]], [[opened, 'quiet']]);
    await clock.pass(149_000);
    expect([server.asked.length, reflector.contactAgeMs]).toEqual([2, 149_000]);
    await clock.pass(2_000);
    expect(server.asked).toEqual(['list', 'watch 100', 'watch 100']);
    expect(problems).toEqual([]);
    await end();
  });

  it('client-node turns a throwing handler into an unhandled rejection: this one reports it and goes on', async () => {
    const problems: unknown[] = [];
    const { reflector, end } = await ground([[map('m', '1')]], [], { onProblem: (error) => problems.push(error) });
    reflector.subscribe(() => {
      throw new Error('thrown');
    });
    reflector.subscribe(() => Promise.reject(new Error('rejected')));
    await setImmediate();
    expect(problems.map(String)).toEqual(['Error: thrown', 'Error: rejected']);
    await end();
  });

  it('client-node emits an error when it is stopped: this one ends without a word', async () => {
    const { problems, end } = await ground([[]], [[opened, 'quiet']]);
    await end();
    expect(problems).toEqual([]);
  });

  it('tells everything again from time to time', async () => {
    const { clock, told, end } = await ground([[map('m', '1')]], [], { resyncMs: 5_000 });
    await clock.pass(10_000);
    expect(told).toEqual(['added a/m@1', 'resync a/m@1', 'resync a/m@1']);
    await end();
  });
});

describe('the next step of a reflector', () => {
  const ended = { kind: 'watchEnded', error: undefined, events: 0, livedMs: 0, failuresInARow: 0 } as const;

  it('watches on at once after a watch that lived, and later after one that ended at once', () => {
    expect(nextStep({ ...ended, livedMs: 300_000 })).toEqual({ kind: 'watch', after: 'atOnce' });
    expect(nextStep(ended)).toEqual({ kind: 'watch', after: 'backoff' });
  });

  it('lists after 410 and after three failures in a row, and never ends', () => {
    expect(nextStep({ ...ended, error: gone, events: 1 })).toEqual({ kind: 'list', after: 'atOnce' });
    expect(nextStep({ ...ended, error: reset, failuresInARow: 2 })).toEqual({ kind: 'watch', after: 'backoff' });
    expect(nextStep({ ...ended, error: reset, failuresInARow: 3 })).toEqual({ kind: 'list', after: 'backoff' });
    expect(nextStep({ kind: 'listFailed' })).toEqual({ kind: 'list', after: 'backoff' });
  });
});
