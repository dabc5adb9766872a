import { describe, expect, it } from 'vitest';
import { planStorage } from '../../../../src/operator/cluster/storage.ts';
import { desiredObjects } from '../../../../src/operator/desired/desired.ts';
import { desiredInput } from '../../../support/sharded-cluster.ts';
import { seenCluster } from './seen-cluster.ts';

function claimsThatGrow(phase: string): string[] {
  const { observation } = seenCluster();
  const claim = {
    metadata: { name: 'data-bank-shard-0-0', namespace: 'test' },
    spec: { resources: { requests: { storage: '64Mi' } } },
    status: { phase },
  };
  const children = { ...observation.children, claims: [claim] };
  const { calm } = planStorage({ ...observation, children }, desiredObjects(desiredInput(observation.cluster)));
  return calm.map((action) => (action.kind === 'patch' ? action.ref.name : action.kind));
}

describe('volumes that shall be larger', () => {
  it('grow when they are there; the API server refuses to change a claim that has no volume yet', () => {
    expect(claimsThatGrow('Bound')).toEqual(['data-bank-shard-0-0']);
    expect(claimsThatGrow('Pending')).toEqual([]);
  });
});
