// What people are told as Events, and how often: what is done again and again until it works is said once.
import { describe, expect, it } from 'vitest';
import type { CalmAction } from '../../../../src/operator/cluster/action.ts';
import { AppliedObjects } from '../../../../src/operator/cluster/applied.ts';
import { NO_FINDINGS } from '../../../../src/operator/cluster/no-recovery.ts';
import { Performer } from '../../../../src/operator/cluster/perform.ts';
import { nothing } from '../../../../src/operator/cluster/plan-nothing.ts';
import { Teller } from '../../../../src/operator/cluster/teller.ts';
import type { Occurrence } from '../../../../src/operator/kube/event-series.ts';
import { createLog } from '../../../../src/telemetry/log.ts';
import { seenCluster } from './seen-cluster.ts';

const never = () => Promise.reject(new Error('not expected'));

function rounds() {
  const told: string[] = [];
  const started: string[] = [];
  const record = ({ reason, note }: Occurrence) => void told.push(`${reason}: ${note}`);
  const teller = new Teller({ record });
  const performer = new Performer({
    client: { apply: never, create: never, delete: never, get: never, mergePatch: never },
    applied: new AppliedObjects(),
    log: createLog('silent'),
    startTask: (_, { kind }) => void started.push(kind),
    onDone: (observation, note) => teller.done(observation, note),
  });
  const { observation } = seenCluster();
  const round = async (settled: boolean, ...calm: CalmAction[]) => {
    const plan = { ...nothing('run'), calm, settled };
    const performed = await performer.perform(observation, plan, new AbortController().signal);
    teller.round(observation, { problems: [], findings: NO_FINDINGS, plan, performed, statusRefused: undefined });
  };
  return { told, started, round };
}

const reload = (configuration: string): CalmAction => ({ kind: 'reloadProxy', proxy: 'bank-proxy-0', configuration });

describe('what is done', () => {
  it('a reload that is asked for until the program has read its files is told once for each configuration', async () => {
    const { told, started, round } = rounds();
    for (let again = 0; again < 9; again += 1) await round(false, reload('a1'));
    // One look that fails in between, or another server's turn, is no new configuration.
    await round(false);
    await round(false, { kind: 'reloadShard', shard: 'shard-0', configuration: 'a1' });
    await round(false, reload('a1'));
    expect(started).toHaveLength(11);
    const asked = 'is asked to read its new configuration';
    expect(told).toEqual([`Reloading: bank-proxy-0 ${asked}`, `Reloading: shard-0 ${asked}`]);
    await round(false, reload('b2'));
    expect(told).toHaveLength(3);
  });

  it('is told anew when all was settled in between, e.g. the certificate after this one', async () => {
    const { told, round } = rounds();
    const certificate: CalmAction = { kind: 'reloadShard', shard: 'shard-0', configuration: 'certificate' };
    await round(false, certificate);
    await round(true);
    await round(false, certificate);
    expect(told).toHaveLength(2);
  });

  it('draining is told once, and again after clients were let in', async () => {
    const { told, round } = rounds();
    const drain: CalmAction = { kind: 'drainProxy', proxy: 'bank-proxy-1' };
    for (const action of [drain, drain, { kind: 'resumeProxy', proxy: 'bank-proxy-1' } as const, drain])
      await round(false, action);
    expect(told.map((line) => line.split(':')[0])).toEqual(['Draining', 'Resuming', 'Draining']);
  });
});
