// What a call is, as RBAC would name it, told from its method and path alone.
import { describe, expect, it } from 'vitest';
import { callOf } from '../../../../src/operator/cluster/counting-transport.ts';

describe('a counted call', () => {
  it.each([
    ['GET', '/api/v1/pods?limit=500', 'list pods'],
    ['GET', '/api/v1/namespaces/shop/pods?watch=true&resourceVersion=1', 'watch pods'],
    ['GET', '/api/v1/namespaces/shop/pods/bank-0', 'get pods'],
    ['GET', '/api/v1/namespaces/shop/pods/bank-0/log?container=reader', 'get pods/log'],
    ['GET', '/apis/apps/v1/statefulsets?watch=true', 'watch statefulsets.apps'],
    ['DELETE', '/apis/apps/v1/namespaces/shop/statefulsets/bank', 'delete statefulsets.apps'],
    ['POST', '/apis/events.k8s.io/v1/namespaces/shop/events?fieldManager=x', 'create events.events.k8s.io'],
    [
      'PATCH',
      '/apis/atomshard.dev/v1alpha1/namespaces/shop/shardedclusters/bank/status?force=true',
      'patch shardedclusters.atomshard.dev/status',
    ],
    ['PUT', '/apis/coordination.k8s.io/v1/namespaces/shop/leases/x', 'update leases.coordination.k8s.io'],
    ['GET', '/version', 'list other'],
  ] as const)('%s %s is %s', (method, path, wanted) => {
    const { verb, resource } = callOf({ method, path });
    expect(`${verb} ${resource}`).toBe(wanted);
  });
});
