import { describe, expect, it } from 'vitest';
import { problemsOf } from '../../../../src/operator/cluster/faults.ts';
import type { SecretObservation, ShardObservation } from '../../../../src/operator/cluster/observation.ts';
import { failed, NOW_MS, seenCluster, shardSeen } from './seen-cluster.ts';

const absent = (name: string, origin: SecretObservation['origin']): [string, SecretObservation] => [
  name,
  { origin, finding: { name, path: 'spec', requiredKeys: ['password'], keys: null }, secret: undefined },
];

describe('what is wrong with a cluster', () => {
  it('a Secret of the user that is not there is missed; one that the operator makes is about to be made', () => {
    const secrets = new Map([absent('bank-internal', 'made'), absent('login', 'user')]);
    const { observation } = seenCluster({ observation: { secrets } });
    expect(problemsOf(observation).map(({ reason, object }) => `${reason} ${object.name}`)).toEqual([
      'SecretMissing login',
    ]);
  });

  it('a Secret of the user that may still be on its way with the cluster is not missed yet', () => {
    const missing = (ageMs: number) => {
      const { observation } = seenCluster({ observation: { secrets: new Map([absent('login', 'user')]) } });
      const creationTimestamp = new Date(NOW_MS - ageMs).toISOString();
      const metadata = { ...observation.cluster.metadata, creationTimestamp };
      return problemsOf({ ...observation, cluster: { ...observation.cluster, metadata } }).map(({ reason }) => reason);
    };
    expect(missing(9_000)).toEqual([]);
    expect(missing(11_000)).toEqual(['SecretMissing']);
  });

  it('a database is missed when the setup could not make it, and not while it is about to be made', () => {
    const told = (setup: ShardObservation['setup'], forMs: number, kindForMs = forMs, spec = {}) => {
      const look = failed('missing-database', 'database "app" does not exist', forMs, kindForMs);
      const { observation } = seenCluster({ spec, observation: { shards: [shardSeen(0, { look, setup })] } });
      return problemsOf(observation).map(({ reason }) => reason);
    };
    const done: ShardObservation['setup'] = { kind: 'done', problems: [] };
    expect(told(done, 60_000)).toEqual(['DatabaseMissing']);
    // It was long in coming up, and is set up now.
    expect(told(done, 60_000, 1_000)).toEqual([]);
    expect(told({ kind: 'due' }, 60_000)).toEqual([]);
    // Nobody makes it while the cluster is paused.
    expect(told({ kind: 'due' }, 60_000, 60_000, { paused: true })).toEqual(['DatabaseMissing']);
  });
});
