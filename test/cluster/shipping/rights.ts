// The operator's rights as charts/atomshard-operator/files/rbac.yaml grants them, and those that it has used by its own count.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';
import type { Kubectl } from '../harness/kubectl.ts';
import { OPERATOR_CHART } from './charts.ts';

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

/** `create statefulsets.apps` and so on, for all that is granted anywhere. */
export function grantedRights(): Set<string> {
  const lists = parse(readFileSync(path.join(OPERATOR_CHART, 'files/rbac.yaml'), 'utf8')) as Record<string, Rule[]>;
  const named = (resource: string, group: string): string => {
    const [plural = '', below] = resource.split('/');
    return `${plural}${group === '' ? '' : `.${group}`}${below === undefined ? '' : `/${below}`}`;
  };
  const rights = Object.values(lists)
    .flat()
    .flatMap(({ apiGroups, resources, verbs }) =>
      apiGroups.flatMap((group) =>
        resources.flatMap((resource) => verbs.map((verb) => `${verb} ${named(resource, group)}`)),
      ),
    );
  return new Set(rights);
}

export interface UsedRights {
  readonly used: ReadonlySet<string>;
  /** Calls that were forbidden. */
  readonly forbidden: readonly string[];
}

/** What the operator behind `service` has called since it started. An apply that made an object used `create` too. */
export async function usedRights(kubectl: Kubectl, namespace: string, service: string): Promise<UsedRights> {
  const url = `/api/v1/namespaces/${namespace}/services/${service}:8080/proxy/metrics`;
  const text = await kubectl.run(['get', '--raw', url]);
  const used = new Set<string>();
  const forbidden: string[] = [];
  const line = /^atomshard_operator_api_requests_total\{verb="(\w+)",resource="([^"]+)",code="(\w+)"\}/gm;
  for (const [, verb = '', resource = '', code = ''] of text.matchAll(line)) {
    used.add(`${verb} ${resource}`);
    if (verb === 'patch' && code === '201') used.add(`create ${resource}`);
    if (code === '403') forbidden.push(`${verb} ${resource}`);
  }
  return { used, forbidden };
}
