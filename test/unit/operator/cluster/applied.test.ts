// When an object is applied again: the wish changed, or somebody else changed the object; never because the server writes it otherwise.
import { describe, expect, it } from 'vitest';
import { AppliedObjects } from '../../../../src/operator/cluster/applied.ts';
import { SERVICES } from '../../../../src/operator/cluster/kinds.ts';
import type { KubeObject } from '../../../../src/operator/kube/resource.ts';

interface Service extends KubeObject {
  readonly spec: { readonly port: number; readonly clusterIP?: string };
  readonly status?: object;
}

const WISH: Service = { metadata: { namespace: 'shop', name: 'bank' }, spec: { port: 5432 } };

/** As the server answers: with what it fills in, and what changes by itself. */
function answer(resourceVersion: string, spec: Service['spec'] = { port: 5432, clusterIP: '10.96.0.9' }): Service {
  const metadata = { ...WISH.metadata, uid: 'u1', resourceVersion, generation: 1, managedFields: [resourceVersion] };
  return { metadata, spec, status: { version: resourceVersion } };
}

function afterOneApply(): AppliedObjects {
  const applied = new AppliedObjects();
  applied.noteApplied(SERVICES, WISH, answer('7'));
  return applied;
}

describe('an object is applied', () => {
  it('once after a start, whatever is there', () => {
    expect(new AppliedObjects().isDue(SERVICES, WISH, answer('7'))).toBe(true);
  });

  it('not again while it is as the server answered, although the server filled fields in', () => {
    expect(afterOneApply().isDue(SERVICES, WISH, answer('7'))).toBe(false);
  });

  it('not again when only its status, version or managers changed', () => {
    expect(afterOneApply().isDue(SERVICES, WISH, answer('8'))).toBe(false);
  });

  it('again when the wish changed', () => {
    expect(afterOneApply().isDue(SERVICES, { ...WISH, spec: { port: 6432 } } as Service, answer('7'))).toBe(true);
  });

  it('again when somebody edited it', () => {
    expect(afterOneApply().isDue(SERVICES, WISH, answer('9', { port: 1, clusterIP: '10.96.0.9' }))).toBe(true);
  });

  it('again when somebody took a label away', () => {
    const applied = new AppliedObjects();
    const labelled = { ...answer('7'), metadata: { ...answer('7').metadata, labels: { mine: 'yes' } } };
    applied.noteApplied(SERVICES, WISH, labelled);
    expect(applied.isDue(SERVICES, WISH, answer('8'))).toBe(true);
  });

  it('again when it was deleted, or deleted and made by somebody else', () => {
    expect(afterOneApply().isDue(SERVICES, WISH, undefined)).toBe(true);
    const other = { ...answer('9'), metadata: { ...answer('9').metadata, uid: 'u2' } };
    expect(afterOneApply().isDue(SERVICES, WISH, other)).toBe(true);
  });
});
