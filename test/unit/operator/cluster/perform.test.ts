import { describe, expect, it } from 'vitest';
import { AppliedObjects } from '../../../../src/operator/cluster/applied.ts';
import { SECRETS } from '../../../../src/operator/cluster/kinds.ts';
import { Performer } from '../../../../src/operator/cluster/perform.ts';
import { nothing } from '../../../../src/operator/cluster/plan-nothing.ts';
import { KubeError } from '../../../../src/operator/kube/kube-error.ts';
import type { KubeObject } from '../../../../src/operator/kube/resource.ts';
import { createLog } from '../../../../src/telemetry/log.ts';
import { seenCluster } from './seen-cluster.ts';

const never = () => Promise.reject(new Error('not expected'));

describe('performing a plan', () => {
  it('writes the id of a cluster into the very version that was seen, so that a cache that lags behind makes no second one', async () => {
    const sent: KubeObject[] = [];
    const apply = async (_: unknown, object: KubeObject): Promise<never> => {
      sent.push(object);
      throw new KubeError('conflict', 'the object has been modified', { status: 409 });
    };
    const performer = new Performer({
      client: { apply, create: never, delete: never, get: never, mergePatch: never },
      applied: new AppliedObjects(),
      log: createLog('silent'),
      startTask: () => undefined,
      onDone: () => undefined,
    });
    const { observation } = seenCluster();
    const plan = { ...nothing('run'), calm: [{ kind: 'writeClusterId', clusterId: 'k3x9q' }] } as const;
    const performed = await performer.perform(observation, plan, new AbortController().signal);
    expect(performed.failures).toEqual([]);
    expect(sent[0]).toMatchObject({ metadata: { resourceVersion: '1' }, status: { clusterId: 'k3x9q' } });
  });

  it('asks for nothing more in a namespace that ends, once the first answers have said so', async () => {
    let asked = 0;
    const create = async (): Promise<never> => {
      asked += 1;
      const causes = [{ reason: 'NamespaceTerminating', field: '', message: 'it is being terminated' }];
      throw new KubeError('forbidden', 'unable to create new content', { status: 403, causes });
    };
    const performer = new Performer({
      client: { apply: never, create, delete: never, get: never, mergePatch: never },
      applied: new AppliedObjects(),
      log: createLog('silent'),
      startTask: () => undefined,
      onDone: () => undefined,
    });
    const { observation } = seenCluster();
    const calm = Array.from({ length: 40 }, (_, i) => {
      const object = { apiVersion: 'v1', kind: 'Secret', metadata: { name: `s${i}`, namespace: 'ends' } };
      return { kind: 'createOnce', type: SECRETS, object } as const;
    });
    const { failures } = await performer.perform(
      observation,
      { ...nothing('run'), calm },
      new AbortController().signal,
    );
    expect(failures.length).toBe(asked);
    expect(asked).toBeLessThan(10);
  });
});
