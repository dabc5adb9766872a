import { describe, expect, it } from 'vitest';
import { KubeError } from '../../../../src/operator/kube/kube-error.ts';
import { LeaderElection, type LeaderElectionOptions } from '../../../../src/operator/kube/leader-election.ts';
import { ELECTION_TIMING, electionStep, type Lease, observe } from '../../../../src/operator/kube/lease-record.ts';
import { ManualClock } from '../../../support/manual-clock.ts';

const REF = { namespace: 'a', name: 'leader' };

/** One Lease with versions; each elector has its own way to it, which can be cut. */
class LeaseServer {
  lease: Lease | undefined;
  #version = 0;

  client(way: { cut: boolean; losesAnswers?: boolean }): LeaderElectionOptions['client'] {
    const check = () => {
      if (way.cut) throw new KubeError('unavailable', 'cut');
    };
    const write = (lease: Lease): Lease => {
      this.#version += 1;
      this.lease = { ...lease, metadata: { ...lease.metadata, resourceVersion: String(this.#version) } };
      if (way.losesAnswers) throw new KubeError('unavailable', 'answer lost');
      return this.lease;
    };
    const client = {
      get: async () => {
        check();
        if (this.lease === undefined) throw new KubeError('notFound', 'none');
        return this.lease;
      },
      create: async (_type: unknown, lease: Lease) => {
        check();
        if (this.lease !== undefined) throw new KubeError('alreadyExists', 'is there');
        return write(lease);
      },
      replace: async (_type: unknown, lease: Lease) => {
        check();
        const current = this.lease?.metadata.resourceVersion;
        if (current !== lease.metadata.resourceVersion) throw new KubeError('conflict', 'changed');
        return write(lease);
      },
    };
    return client as unknown as LeaderElectionOptions['client'];
  }
}

function ground() {
  const clock = new ManualClock();
  const server = new LeaseServer();
  const elector = (identity: string) => {
    const way = { cut: false, losesAnswers: false };
    const client = server.client(way);
    const election = new LeaderElection({ client, lease: REF, identity, clock, random: () => 0 });
    const stop = new AbortController();
    const ends: string[] = [];
    const run = election.run(stop.signal).then((end) => ends.push(`${end} at ${clock.nowMs()}`));
    return { election, way, stop, ends, run };
  };
  return { clock, server, elector };
}

describe('leader election', () => {
  it('one leads, and the other waits as long as the Lease is renewed', async () => {
    const { clock, server, elector } = ground();
    const one = elector('one');
    await clock.pass(1);
    const two = elector('two');
    for (let second = 0; second < 120; second += 1) {
      await clock.pass(1_000);
      expect([one.election.isLeader, two.election.isLeader]).toEqual([true, false]);
    }
    expect(two.election.leader).toBe('one');
    expect(server.lease?.spec).toMatchObject({ holderIdentity: 'one', leaseDurationSeconds: 15, leaseTransitions: 0 });
    expect(server.lease?.spec?.renewTime).toMatch(/^\d{4}-.*\.\d{6}Z$/);
  });

  it('a leader that is cut off stops writing seconds before the other starts, and ends', async () => {
    const { clock, elector } = ground();
    const one = elector('one');
    await clock.pass(1);
    const two = elector('two');
    await clock.pass(10_000);
    one.way.cut = true;
    const cutAtMs = clock.nowMs();
    let stoppedAtMs = 0;
    let startedAtMs = 0;
    for (let step = 0; step < 300; step += 1) {
      await clock.pass(100);
      expect(one.election.isLeader && two.election.isLeader).toBe(false);
      if (!one.election.isLeader && stoppedAtMs === 0) stoppedAtMs = clock.nowMs();
      if (two.election.isLeader && startedAtMs === 0) startedAtMs = clock.nowMs();
    }
    expect(stoppedAtMs - cutAtMs).toBeLessThanOrEqual(10_100);
    expect(startedAtMs - stoppedAtMs).toBeGreaterThanOrEqual(4_000);
    expect(startedAtMs - cutAtMs).toBeLessThanOrEqual(20_000);
    expect(one.ends).toHaveLength(1);
    expect(one.ends[0]).toMatch(/^lost at /);
  });

  it('gives the Lease back when stopped, so that the other leads within a retry period', async () => {
    const { clock, server, elector } = ground();
    const one = elector('one');
    await clock.pass(1);
    const two = elector('two');
    await clock.pass(5_000);
    one.stop.abort();
    await clock.pass(2_500);
    expect([one.election.isLeader, two.election.isLeader]).toEqual([false, true]);
    expect(server.lease?.spec?.leaseTransitions).toBe(1);
    expect(one.ends[0]).toMatch(/^stopped/);
  });

  it('goes on leading when the answers to renewals are lost now and then', async () => {
    const { clock, elector } = ground();
    const one = elector('one');
    await clock.pass(1);
    for (let second = 0; second < 60; second += 1) {
      one.way.losesAnswers = second % 8 < 4;
      await clock.pass(1_000);
      expect(one.election.isLeader).toBe(true);
    }
  });

  it('tells the loss at once when somebody else has taken the Lease', async () => {
    const { clock, server, elector } = ground();
    const one = elector('one');
    await clock.pass(1_000);
    const { lease } = server;
    server.lease = { metadata: { ...REF, resourceVersion: 'x' }, spec: { ...lease?.spec, holderIdentity: 'thief' } };
    await clock.pass(2_000);
    expect([one.election.isLeader, one.ends.length, one.election.leader]).toEqual([false, 1, 'thief']);
  });

  it('does not lead after its machine slept, though its monotonic clock stood still', async () => {
    const clock = new ManualClock();
    let sleptMs = 0;
    const sleepy = {
      nowMs: () => clock.nowMs() + sleptMs,
      monotonicMs: () => clock.monotonicMs(),
      sleep: clock.sleep.bind(clock),
    };
    const client = new LeaseServer().client({ cut: false });
    const election = new LeaderElection({ client, lease: REF, identity: 'one', clock: sleepy, random: () => 0 });
    void election.run(new AbortController().signal);
    await clock.pass(1_000);
    expect(election.isLeader).toBe(true);
    sleptMs = 3_600_000;
    expect(election.isLeader).toBe(false);
  });
});

describe('the step of an election', () => {
  const lease = (renewTime: string, holderIdentity = 'other'): Lease => ({
    metadata: REF,
    spec: { holderIdentity, leaseDurationSeconds: 15, renewTime },
  });

  it('counts from when we saw the Lease change, whatever times stand in it', () => {
    const seen = observe(undefined, lease('1970-01-01T00:00:00.000000Z'), 1_000);
    expect(electionStep(seen, 'me', 15_999, ELECTION_TIMING)).toEqual({ kind: 'wait', leader: 'other' });
    expect(electionStep(observe(seen, seen.lease, 15_000), 'me', 16_000, ELECTION_TIMING)).toEqual({
      kind: 'takeOver',
    });
    const renewed = observe(seen, lease('1970-01-01T00:00:02.000000Z'), 15_000);
    expect(electionStep(renewed, 'me', 16_000, ELECTION_TIMING)).toEqual({ kind: 'wait', leader: 'other' });
  });

  it('waits for the length that the leader wrote, where that is longer than ours', () => {
    const long = { ...lease('x'), spec: { ...lease('x').spec, leaseDurationSeconds: 60 } };
    const seen = observe(undefined, long, 0);
    expect(electionStep(seen, 'me', 59_000, ELECTION_TIMING).kind).toBe('wait');
    expect(electionStep(seen, 'me', 60_000, ELECTION_TIMING).kind).toBe('takeOver');
  });

  it('takes a Lease that nobody holds, renews its own, and creates one that is not there', () => {
    expect(electionStep(observe(undefined, lease('x', ''), 0), 'me', 0, ELECTION_TIMING).kind).toBe('takeOver');
    expect(electionStep(observe(undefined, lease('x', 'me'), 0), 'me', 0, ELECTION_TIMING).kind).toBe('renew');
    expect(electionStep(undefined, 'me', 0, ELECTION_TIMING).kind).toBe('create');
  });
});
