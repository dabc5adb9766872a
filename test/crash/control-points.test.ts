// The real proxy is killed with SIGKILL at every named control point, under load, again and again; then rows are compared.
//
// Each round: load runs → the proxy dies at the armed point → a new one starts on the same log → the load goes on → pause →
// recovery has emptied pg_prepared_xacts → every shard is read directly and judged against what the clients were told.
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { CONTROL_POINT_NAMES, type ControlPointName } from '../../src/kernel/control-point.ts';
import {
  outcomeOf,
  type PreparedBranch,
  preparedBranches,
  transactionsOf,
  untilNoBackends,
} from '../support/in-doubt.ts';
import type { ProxyProcess } from '../support/proxy-process.ts';
import { Random } from '../support/random.ts';
import { loggedCommits } from './logged-commits.ts';
import { CrashRig } from './rig.ts';
import type { Armed } from './trigger.ts';

/** Replay with `CRASH_SEED=<the printed seed> npm run test:crash`. */
const SEED = Number(process.env.CRASH_SEED ?? Random.freshSeed());
const ROUNDS = Number(process.env.CRASH_ROUNDS ?? 3);
const REACHED_TIMEOUT_MS = 30_000;
const ENTRY = [path.resolve(import.meta.dirname, 'proxy-with-control-points.ts')];

type Place = readonly [point: ControlPointName, participant?: number];

/** Participants 0 to 2: with the third, transactions on subsets of four shards are hit in the middle. */
const PLACES: readonly Place[] = CONTROL_POINT_NAMES.flatMap((point): Place[] => {
  const perParticipant = point.startsWith('prepare.') || point.startsWith('commit.');
  return perParticipant ? [0, 1, 2].map((participant): Place => [point, participant]) : [[point]];
});
const RUNNING = PLACES.filter(([point]) => !point.startsWith('recovery.'));
const RECOVERING = PLACES.filter(([point]) => point.startsWith('recovery.'));

/** Where the transaction that is killed has at least one prepared branch, for certain. */
const LEAVES_PREPARED: readonly ControlPointName[] = [
  'prepare.after',
  'append.before',
  'append.after',
  'fsync.before',
  'fsync.after',
  'commit.before',
];

/** The part of the protocol that a point belongs to: `prepare`, `append`, `fsync`, `commit`, `end` or `recovery`. */
const phaseOf = (point: ControlPointName) => point.split('.')[0] ?? point;

/** Every other round holds the place, so that the other participants get ahead: prepared here, committed there. */
const HOLD_MS = 60;
const holdOf = (round: number, point: ControlPointName) =>
  round % 2 === 1 && !point.startsWith('fsync.') ? { holdMs: HOLD_MS } : {};

interface Tally {
  kills: number;
  inDoubt: number;
  /** In doubt when found, and committed already on some of its shards. */
  halfCommitted: number;
  committed: number;
  rolledBack: number;
}

describe(`the proxy killed at every control point (seed ${SEED}, ${ROUNDS} rounds each)`, () => {
  let rig: CrashRig;
  const random = new Random(SEED);
  const tallies = new Map<string, Tally>();

  const tallyOf = (phase: string): Tally => {
    const tally = tallies.get(phase) ?? { kills: 0, inDoubt: 0, halfCommitted: 0, committed: 0, rolledBack: 0 };
    tallies.set(phase, tally);
    return tally;
  };

  beforeAll(async () => {
    rig = await CrashRig.start({
      shards: 4,
      clients: 10,
      seed: SEED,
      accounts: 200,
      initialBalance: 500,
      entry: ENTRY,
    });
  });

  afterAll(async () => {
    console.info(`seed ${SEED}; by phase: ${JSON.stringify(Object.fromEntries(tallies))}`);
    console.info(rig.load.ledger.summary());
    await rig[Symbol.asyncDispose]();
  });

  beforeEach(() => rig.ensureProxy());

  /** Waits until the armed process has killed itself. */
  async function untilKilled(proxy: ProxyProcess, what: string): Promise<void> {
    const late = sleep(REACHED_TIMEOUT_MS, undefined, { ref: false });
    const exit = await Promise.race([proxy.exited, late]);
    if (exit === undefined)
      throw new Error(`${what} was not reached in ${REACHED_TIMEOUT_MS / 1000} s:\n${proxy.log.slice(-20).join('\n')}`);
    expect(exit, `${what}: ${proxy.log.slice(-20).join('\n')}`).toEqual({ code: null, signal: 'SIGKILL' });
  }

  async function killAt(armed: Armed): Promise<PreparedBranch[]> {
    rig.load.start();
    await sleep(random.between(20, 150));
    rig.proxy.tell(armed);
    await untilKilled(rig.proxy, JSON.stringify(armed));
    return leftBehind(phaseOf(armed.point));
  }

  /** What the kill left. Every other time the shards are given no time to notice it: then the next proxy must fence. */
  async function leftBehind(phase: string): Promise<PreparedBranch[]> {
    const { shards } = rig.shards;
    if (random.chance(0.5)) await untilNoBackends(shards);
    const branches = await preparedBranches(shards);
    const tally = tallyOf(phase);
    tally.kills += 1;
    tally.inDoubt += transactionsOf(branches).length;
    return branches;
  }

  async function healAndJudge(phase: string, what: string, branches: readonly PreparedBranch[]) {
    const decided = await loggedCommits(rig.walDirectory);
    await rig.restartProxy();
    await sleep(random.between(50, 200));
    await rig.reckon(`${what}, seed ${SEED}`);
    const outcome = await outcomeOf(rig.shards.shards, branches);
    // Recovery must have done what the log said when the proxy died, and nothing else: presumed abort without a record.
    const wanted = transactionsOf(branches).map((id) => [id, decided.has(id) ? 'committed' : 'rolledBack'] as const);
    expect(Object.fromEntries(outcome.ends), what).toEqual(Object.fromEntries(wanted));
    const tally = tallyOf(phase);
    tally.halfCommitted += outcome.halfCommitted;
    tally.committed += outcome.counts.committed;
    tally.rolledBack += outcome.counts.rolledBack;
  }

  const rounds = (places: readonly Place[]) =>
    Array.from({ length: ROUNDS }, (_, round) =>
      places.map(([point, participant]) => ({ point, participant, round })),
    ).flat();

  it.each(rounds(RUNNING))(
    'is whole after SIGKILL at $point, participant $participant (round $round)',
    async (place) => {
      const { point, participant, round } = place;
      const which = participant === undefined ? {} : { participant };
      const armed: Armed = { point, ...which, skip: random.between(0, 12), signal: 'SIGKILL', ...holdOf(round, point) };
      const branches = await killAt(armed);
      if (LEAVES_PREPARED.includes(point)) expect(branches, JSON.stringify(armed)).not.toEqual([]);
      await healAndJudge(phaseOf(point), JSON.stringify(armed), branches);
    },
  );

  it.each(rounds(RECOVERING))(
    'is whole after SIGKILL inside recovery at $point (round $round)',
    async ({ point, round }) => {
      // Between the decision and the first COMMIT PREPARED: this kill leaves something to resolve, for certain.
      await killAt({ point: 'commit.before', participant: 0, skip: random.between(0, 5), signal: 'SIGKILL' });
      const armed: Armed = {
        point,
        skip: point.startsWith('recovery.resolve') ? round % 2 : 0,
        signal: 'SIGKILL',
        ...holdOf(round, point),
      };
      await untilKilled(rig.spawnProxy(['--arm', JSON.stringify(armed)]), JSON.stringify(armed));
      const branches = await leftBehind('recovery');
      await healAndJudge('recovery', JSON.stringify(armed), branches);
    },
  );

  it('refuses a second proxy on the log of one that is only frozen, and the frozen one goes on', async () => {
    rig.load.start();
    rig.proxy.tell({ point: 'commit.before', participant: 1, skip: 3, signal: 'SIGSTOP' } satisfies Armed);
    await sleep(500);
    const frozen = rig.proxy;
    const second = rig.spawnProxy();
    const exit = await second.exited;
    expect(exit.code, second.log.join('\n')).toBeGreaterThan(0);
    expect(second.log.join('\n')).toContain(String(frozen.pid));
    rig.proxy = frozen;
    frozen.signal('SIGCONT');
    await sleep(200);
    await rig.reckon('after SIGSTOP and SIGCONT');
  });

  it('SIGTERM under load ends with exit code 0 and leaves nothing prepared', async () => {
    rig.load.start();
    await sleep(200);
    expect(await rig.proxy.terminate()).toEqual({ code: 0, signal: null });
    expect(await preparedBranches(rig.shards.shards)).toEqual([]);
    await rig.restartProxy();
    await sleep(100);
    await rig.reckon('after SIGTERM');
  });

  it('proves its premise: kills in every phase left transactions in doubt, and both decisions were taken', () => {
    const all = [...tallies.values()];
    const sum = (part: keyof Tally) => all.reduce((total, tally) => total + tally[part], 0);
    // After `end` a transaction is finished on every shard; what is found there belongs to others, if there were any.
    for (const [phase, tally] of tallies) if (phase !== 'end') expect(tally.inDoubt, phase).toBeGreaterThan(0);
    expect([...tallies.keys()].toSorted()).toEqual(['append', 'commit', 'end', 'fsync', 'prepare', 'recovery']);
    expect(sum('kills')).toBeGreaterThanOrEqual(20 * ROUNDS);
    expect(sum('committed')).toBeGreaterThan(0);
    expect(sum('rolledBack')).toBeGreaterThan(0);
    // The state that only recovery can repair: committed on one shard, prepared on another.
    expect(tallyOf('commit').halfCommitted).toBeGreaterThan(0);
    expect(rig.load.ledger.counts().acknowledged).toBeGreaterThan(0);
  });
});
