import { describe, expect, it } from 'vitest';
import { problemsOf } from '../../../../src/operator/cluster/faults.ts';
import type { SecretObservation } from '../../../../src/operator/cluster/observation.ts';
import { seenCluster } from './seen-cluster.ts';

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
});
