import { describe, expect, it } from 'vitest';
import { WarningEvents } from '../../../../src/operator/cluster/warning-events.ts';
import type { EventObject } from '../../../../src/operator/diagnosis/children.ts';
import type { KubeClient } from '../../../../src/operator/kube/client.ts';
import { ManualClock } from '../../../support/manual-clock.ts';

function eventsSeen() {
  const clock = new ManualClock();
  const listed: (string | undefined)[] = [];
  const woken: string[] = [];
  const list = (async (_: unknown, { namespace }: { readonly namespace?: string }) => {
    listed.push(namespace);
    return { items: [{ metadata: { name: `event-${listed.length}` } }] as EventObject[], resourceVersion: '1' };
  }) as unknown as KubeClient['list'];
  const onProblem = (error: unknown) => {
    throw error;
  };
  const events = new WarningEvents({ client: { list }, clock, onProblem, onChange: (key) => void woken.push(key) });
  return { clock, events, listed, woken };
}

const settle = () => new Promise((resolve) => setImmediate(resolve));

describe('warning events', () => {
  it('are read once for all clusters of a namespace that are in trouble, and all of those are woken', async () => {
    const { clock, events, listed, woken } = eventsSeen();
    const names = Array.from({ length: 20 }, (_, index) => `shop/c${index}`);
    const look = () => names.map((key) => events.of('shop', key, true));
    look();
    await clock.pass(5_000);
    look();
    await settle();
    expect(listed).toEqual(['shop']);
    expect(woken).toEqual(names);
    expect(look().map((seen) => seen.map(({ metadata }) => metadata.name))).toEqual(names.map(() => ['event-1']));
  });

  it('are not read for a cluster that is well, nor kept when the last one is', async () => {
    const { clock, events, listed } = eventsSeen();
    events.of('shop', 'shop/a', true);
    await clock.pass(5_000);
    events.of('shop', 'shop/a', true);
    await settle();
    expect(events.of('shop', 'shop/a', false)).toEqual([]);
    await clock.pass(60_000);
    expect(events.of('shop', 'shop/b', true)).toEqual([]);
    expect(listed).toEqual(['shop']);
  });
});
