// In which order certificates are written: a CA is stored before anything that it signed, so that no crash leaves a signature of nobody.
import { describe, expect, it } from 'vitest';
import { Certificates } from '../../../../src/operator/cluster/certificates.ts';
import type { Observation } from '../../../../src/operator/cluster/observation.ts';
import type { KubeObject } from '../../../../src/operator/kube/resource.ts';
import { AUTHORITY_LIFE_MS } from '../../../../src/operator/tls/needs.ts';
import { NOW_MS, seenCluster } from './seen-cluster.ts';

const TLS = { postgres: { tls: { mode: 'Require' } }, proxy: { tls: { mode: 'Allow' } } };

/** One round after another, each with a new operator, until nothing is written; the names of what each wrote. */
function rounds(objects: Map<string, KubeObject>, nowMs: number): string[][] {
  const { observation } = seenCluster({ spec: TLS });
  const written: string[][] = [];
  for (;;) {
    const children = { ...observation.children, byKey: objects };
    const seen: Observation = { ...observation, nowMs, children };
    const actions = new Certificates().actionsFor(seen);
    if (actions.length === 0) return written;
    written.push(
      actions.map((action) => {
        if (action.kind !== 'apply' && action.kind !== 'createOnce') throw new Error(action.kind);
        const { object } = action;
        const metadata = { ...object.metadata, resourceVersion: `${written.length}` };
        objects.set(`Secret/${object.metadata.name}`, { ...object, metadata });
        return `${action.kind} ${object.metadata.name}`;
      }),
    );
    if (written.length > 9) throw new Error('it never ends');
  }
}

describe('certificates', () => {
  it('of a new cluster are made after their CA', () => {
    const [first] = rounds(new Map(), NOW_MS);
    expect(first?.[0]).toBe('createOnce bank-ca');
    expect(first).toHaveLength(3);
  });

  it('that a new CA signs are exchanged only when that CA is stored: what is applied is applied at once with others', () => {
    const objects = new Map<string, KubeObject>();
    rounds(objects, NOW_MS);
    const again = rounds(objects, NOW_MS + AUTHORITY_LIFE_MS);
    expect(again[0]).toEqual(['apply bank-ca']);
    expect(again[1]?.toSorted()).toEqual(['apply bank-proxy-tls', 'apply bank-shard-tls']);
  });
});
