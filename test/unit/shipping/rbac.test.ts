// The operator's rights are exactly the kinds that its code names; nothing is granted by a wildcard.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';

const ROOT = path.resolve(import.meta.dirname, '../../..');
const OPERATOR = path.join(ROOT, 'src/operator');

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

const { watched, own } = parse(readFileSync(path.join(ROOT, 'charts/atomshard-operator/files/rbac.yaml'), 'utf8')) as {
  watched: readonly Rule[];
  own: readonly Rule[];
};

/** `group/resource verb` for every right. */
function rights(rules: readonly Rule[]): string[] {
  return rules.flatMap(({ apiGroups, resources, verbs }) =>
    apiGroups.flatMap((group) => resources.flatMap((name) => verbs.map((verb) => `${group}/${name} ${verb}`))),
  );
}

const sources = readdirSync(OPERATOR, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts') && !file.endsWith('kube/resource.ts'))
  .map((file) => readFileSync(path.join(OPERATOR, file), 'utf8'));

/** Kinds as the code names them: `resource('apps/v1', 'StatefulSet', 'statefulsets')`. */
function kindsInCode(): string[] {
  const found = sources.flatMap((text) => [
    ...text.matchAll(/\bresource(?:<\w+>)?\(\s*['`]([^'`]+)['`],\s*(?:'\w+'|KIND),\s*(?:'(\w+)'|PLURAL)/g),
  ]);
  return found.map(([, apiVersion = '', plural = 'shardedclusters']) => {
    const group = apiVersion.includes('/') ? (apiVersion.split('/')[0] ?? '') : '';
    return `${group.replace(/^\$\{GROUP\}$/, 'atomshard.dev')}/${plural}`;
  });
}

const resourcesOf = (rules: readonly Rule[]): Set<string> =>
  new Set(rights(rules).map((right) => right.replace(/ .*/, '')));

describe("the operator's rights", () => {
  it('name no wildcard, no exec, no roles, and no verb twice', () => {
    const all = [...rights(watched), ...rights(own)];
    expect(all.filter((right) => right.includes('*'))).toEqual([]);
    expect(all.filter((right) => /exec|attach|portforward|roles|bind|escalate|impersonate/.test(right))).toEqual([]);
    expect(rights(watched).length).toBe(new Set(rights(watched)).size);
  });

  it('are for the kinds that src/operator names, all of them and no other', () => {
    const inCode = new Set(kindsInCode());
    expect(inCode.size).toBeGreaterThan(12);
    const granted = new Set([...resourcesOf(watched), ...resourcesOf(own)].filter((name) => !/\/.*\//.test(name)));
    expect([...inCode].filter((kind) => !granted.has(kind))).toEqual([]);
    expect([...granted].filter((kind) => !inCode.has(kind))).toEqual([]);
  });

  it('know every kind in the code: each call of resource() is understood', () => {
    const calls = sources.flatMap((text) => [...text.matchAll(/=\s*resource(?:<\w+>)?\(/g)]);
    expect(kindsInCode().length).toBe(calls.length);
  });

  it('let no Lease but its own be changed', () => {
    const leases = own.filter(({ resources, verbs }) => resources.includes('leases') && !verbs.includes('create'));
    expect(leases.map(({ resourceNames }) => resourceNames)).toEqual([['atomshard-operator']]);
  });
});
