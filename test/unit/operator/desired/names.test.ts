// Names fit where Kubernetes and PostgreSQL have them, and never meet.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { clusterNames, proxyNames, shardNames, userSecretName } from '../../../../src/operator/desired/names.ts';

const DNS_LABEL = /^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/;
const LONGEST = `c${'x'.repeat(29)}`;

describe('names of a cluster', () => {
  it('are DNS labels for the longest name, the last shard and the last proxy', () => {
    const all = [clusterNames(LONGEST), shardNames(LONGEST, 1023), proxyNames(LONGEST, 63)].flatMap((names) =>
      Object.values(names as unknown as Record<string, string>),
    );
    expect(all.length).toBeGreaterThan(15);
    expect(all.filter((name) => !DNS_LABEL.test(name))).toEqual([]);
  });

  it('of objects of one kind differ', () => {
    const { clientService, proxyPods } = clusterNames('c');
    const services = [
      clientService,
      proxyPods,
      ...[0, 1].flatMap((i) => [shardNames('c', i).set, shardNames('c', i).pods]),
    ];
    expect(new Set(services).size).toBe(services.length);
  });

  it('of a user’s Secret are the role’s own where it can be one', () => {
    expect(userSecretName('bank', 'app')).toBe('bank-user-app');
    expect(userSecretName('bank', 'web-1')).toBe('bank-user-web-1');
  });

  it('of a user’s Secret are allowed and its own whatever the role is called', () => {
    const odd = ['App', 'app_1', 'app-1', 'app.1', 'äpp', '_', '-', 'a b', 'ü'];
    const names = odd.map((role) => userSecretName('bank', role));
    expect(new Set(names).size).toBe(odd.length);
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 63 }), (role) => {
        expect(userSecretName(LONGEST, role)).toMatch(/^[a-z0-9]([a-z0-9-]{0,251}[a-z0-9])?$/);
      }),
    );
  });
});
