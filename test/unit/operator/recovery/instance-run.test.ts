// One run for a dead proxy: what it counts, and that nothing is touched before the log's lock has shown that the owner is dead.
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../../src/kernel/clock.ts';
import { KubeError } from '../../../../src/operator/kube/kube-error.ts';
import { type RunDeps, type RunOutcome, recoverInstance } from '../../../../src/operator/recovery/instance-run.ts';
import type { ShardProbe } from '../../../../src/recovery/shard-probe.ts';
import { renderTransactionId } from '../../../../src/transaction/gid.ts';
import type { LogEvidence } from '../../../../src/transaction/log-evidence.ts';
import type { PretendShard } from '../../../support/pretend-shard.ts';
import { PretendWorld } from '../../../support/pretend-world.ts';
import { EPOCH } from '../../../support/told-log.ts';

const WISH = { clusterId: 'k3x9q', instance: 'proxy-0', epochSeen: EPOCH - 1, hasLog: true, mayLive: null } as const;

const LOST = { ...WISH, hasLog: false } as const;

interface Course {
  /** Between two rounds of a pass. */
  readonly meanwhile?: () => void;
  readonly isLocked?: () => boolean;
  readonly isRefused?: () => boolean;
  readonly wish?: Parameters<typeof recoverInstance>[0];
}

function runIn(
  world: PretendWorld,
  { meanwhile = () => undefined, isLocked = () => false, isRefused = () => false, wish = WISH }: Course = {},
) {
  const happened: string[] = [];
  /** Runs below these were ended. */
  const fencedBelow = new Set<number>();
  const probeOf = (shard: PretendShard): [string, ShardProbe] => {
    const probe = shard.probe((what) => void happened.push(what));
    const fence = probe.fence.bind(probe);
    const noting: ShardProbe['fence'] = (cluster, instance, below) => {
      fencedBelow.add(below);
      return fence(cluster, instance, below);
    };
    return [shard.name, Object.assign(probe, { fence: noting })];
  };
  const deps: RunDeps = {
    probes: new Map(world.shards.map(probeOf)),
    readLog: async (ids) => {
      happened.push(`log ${ids.join()}`);
      if (isRefused()) throw new KubeError('unavailable', 'create Job: no answer');
      if (isLocked()) return { kind: 'locked', holder: 'the proxy' };
      const words = new Map<string, LogEvidence>(await world.log.lookup(new Set(ids)));
      const log = { status: 'whole', walId: 'told', epoch: EPOCH - 1, firstEpoch: 1000, problems: [] } as const;
      return { kind: 'read', dump: { ...log, live: [...world.log.live()], words }, lastHolder: null };
    },
    clock: { ...systemClock, sleep: async () => meanwhile() },
    controlPoint: () => undefined,
    onStep: () => undefined,
  };
  return { happened, fencedBelow, run: (): Promise<RunOutcome> => recoverInstance(wish, deps) };
}

describe('a run', () => {
  it('counts all that it ended, also before something surfaced that its log had not been asked about', async () => {
    const world = new PretendWorld(3);
    const ended = world.layOut({ 0: 'prepared', 1: 'prepared' });
    const busy = world.layOut({ 1: 'prepared', 2: 'prepared' });
    world.shard(2).busy = 1;
    const late: string[] = [];
    const meanwhile = () => {
      if (late.length === 0) late.push(renderTransactionId(world.layOut({ 0: 'prepared', 1: 'prepared' }).transaction));
    };
    const { happened, run } = runIn(world, { meanwhile });
    const outcome = await run();
    if (outcome.kind !== 'passed') throw new Error(outcome.message);
    expect(happened.filter((what) => what.startsWith('log'))).toHaveLength(2);
    const all = [...[ended, busy].map(({ transaction }) => renderTransactionId(transaction)), ...late];
    expect(outcome.pass.rolledBackIds.toSorted()).toEqual(all.toSorted());
    expect(outcome.pass).toMatchObject({ rolledBack: 3, waiting: 0 });
  });

  it.each([
    ['the owner came back', (isLater: () => boolean): Course => ({ isLocked: isLater })],
    ['the API server went away', (isLater: () => boolean): Course => ({ isRefused: isLater })],
  ])('tells what it ended although %s before all was', async (_, course) => {
    const world = new PretendWorld(3);
    const ended = world.layOut({ 0: 'prepared', 1: 'prepared' });
    world.layOut({ 1: 'prepared', 2: 'prepared' });
    world.shard(2).busy = 1;
    let isLater = false;
    const { run } = runIn(world, {
      ...course(() => isLater),
      meanwhile: () => {
        if (!isLater) world.layOut({ 0: 'prepared', 1: 'prepared' });
        isLater = true;
      },
    });
    const outcome = await run();
    if (outcome.kind !== 'passed') throw new Error(outcome.message);
    expect(outcome.pass.rolledBackIds).toEqual([renderTransactionId(ended.transaction)]);
  });

  it('reads the log under its lock before the first connection is ended', async () => {
    const world = new PretendWorld(2);
    world.layOut({ 0: 'prepared', 1: 'working' });
    const { happened, run } = runIn(world);
    await run();
    const read = happened.findIndex((what) => what.startsWith('log'));
    const fenced = happened.findIndex((what) => what.endsWith('fence'));
    expect(read).toBeGreaterThan(0);
    expect(fenced).toBeGreaterThan(read);
  });

  it('without a log touches nothing while a process of the proxy may live', async () => {
    const world = new PretendWorld(2);
    const laidOut = world.layOut({ 0: 'prepared', 1: 'working' });
    const { fencedBelow, run } = runIn(world, { wish: { ...LOST, mayLive: 'pod bank-proxy-0 runs' } });
    expect(await run()).toEqual({ kind: 'blocked', why: 'owner-alive', message: 'pod bank-proxy-0 runs' });
    expect(fencedBelow.size).toBe(0);
    expect(world.lives(laidOut)).toBe('pw');
  });

  it('by the log of another proxy, whose volume was put in its place, touches nothing', async () => {
    const world = new PretendWorld(2);
    const laidOut = world.layOut({ 0: 'prepared', 1: 'prepared' });
    world.layOut({ 0: 'committed', 1: 'prepared' }, { instance: 'proxy-1', decided: true });
    const { fencedBelow, run } = runIn(world);
    expect(await run()).toMatchObject({
      kind: 'blocked',
      why: 'log-unreadable',
      message: expect.stringMatching(/k3x9q:proxy-1/),
    });
    expect(fencedBelow.size).toBe(0);
    expect(world.lives(laidOut)).toBe('pp');
  });

  it('ends connections up to the run that wrote the log, and never those of a run after it', async () => {
    const world = new PretendWorld(2);
    const later = world.layOut({ 0: 'prepared', 1: 'prepared' }, { epoch: EPOCH + 3 });
    const { fencedBelow, run } = runIn(world, { wish: { ...WISH, epochSeen: EPOCH + 3 } });
    await run();
    expect([...fencedBelow]).toEqual([EPOCH]);
    expect(world.lives(later)).toBe('pp');
  });

  it('without a log ends connections up to the last run that anybody saw of this very proxy', async () => {
    const world = new PretendWorld(2);
    world.layOut({ 0: 'prepared', 1: 'prepared' });
    const others = [{ instance: 'proxy-1' }, { cluster: 'other' }].map((whose) =>
      world.layOut({ 0: 'prepared', 1: 'prepared' }, { ...whose, epoch: EPOCH + 50 }),
    );
    const { fencedBelow, run } = runIn(world, { wish: LOST });
    await run();
    expect([...fencedBelow]).toEqual([EPOCH]);
    expect(others.map((laidOut) => world.lives(laidOut))).toEqual(['pp', 'pp']);
  });
});
