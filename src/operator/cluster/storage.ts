// Volumes that shall be larger: claims are patched, and the set, whose claim template can never change, is made anew around its pods. Pure.
import { parseSize } from '../../kernel/quantity.ts';
import type { DesiredObject } from '../desired/desired-input.ts';
import type { ClaimObject } from '../diagnosis/children.ts';
import type { KubeObject } from '../kube/resource.ts';
import type { CalmAction, DisruptiveAction } from './action.ts';
import { CLAIMS, STATEFUL_SETS } from './kinds.ts';
import type { Observation } from './observation.ts';

interface ClaimTemplate {
  readonly metadata?: { readonly name?: string };
  readonly spec?: { readonly resources?: { readonly requests?: { readonly storage?: string } } };
}

/** What of the sets' claims is smaller than wanted. */
export interface StoragePlan {
  readonly calm: readonly CalmAction[];
  /** Sets whose live template differs: they must not be applied, as the API server refuses that. */
  readonly heldBack: ReadonlySet<string>;
  readonly disruptive: DisruptiveAction | undefined;
}

export function planStorage({ children, refusedSets }: Observation, desired: readonly DesiredObject[]): StoragePlan {
  const calm: CalmAction[] = [];
  const heldBack = new Set<string>();
  let disruptive: DisruptiveAction | undefined;
  for (const { object } of desired.filter(({ type }) => type.kind === STATEFUL_SETS.kind)) {
    const { name } = object.metadata;
    const template = templateOf(object);
    const wanted = sizeOf(template);
    if (template === undefined || wanted === undefined) continue;
    const text = template.spec?.resources?.requests?.storage ?? '';
    for (const claim of claimsOf(children.claims, template.metadata?.name ?? '', name)) {
      // One that has no volume yet cannot be changed; it wakes us when it has.
      const hasVolume = claim.status?.phase !== 'Pending';
      if (hasVolume && wanted > claimedBytes(claim)) calm.push(grow(claim, text));
    }
    const live = children.statefulSets.find(({ metadata }) => metadata.name === name);
    const liveBytes = live && sizeOf(templateOf(live));
    if (live === undefined || (liveBytes === wanted && !refusedSets.has(name))) continue;
    heldBack.add(name);
    const { namespace, uid = '' } = live.metadata;
    const why = `the volumes of ${name} become ${text}, and a set's claim template cannot change`;
    disruptive ??= { kind: 'recreateSet', set: { namespace, name }, uid, why };
  }
  return { calm, heldBack, disruptive };
}

function templateOf(set: KubeObject): ClaimTemplate | undefined {
  const { spec } = set as { spec?: { volumeClaimTemplates?: readonly ClaimTemplate[] } };
  return spec?.volumeClaimTemplates?.[0];
}

function sizeOf(template: ClaimTemplate | undefined): number | undefined {
  return parseSize(template?.spec?.resources?.requests?.storage ?? '');
}

/** `data-bank-shard-0-0` belongs to the template `data` of the set `bank-shard-0`. */
function claimsOf(claims: readonly ClaimObject[], template: string, set: string): ClaimObject[] {
  const prefix = `${template}-${set}-`;
  return claims.filter(
    ({ metadata }) => metadata.name.startsWith(prefix) && /^\d+$/.test(metadata.name.slice(prefix.length)),
  );
}

function claimedBytes({ spec }: ClaimObject): number {
  return parseSize(spec?.resources?.requests?.storage ?? '') ?? 0;
}

function grow({ metadata: { namespace, name } }: ClaimObject, storage: string): CalmAction {
  const patch = { spec: { resources: { requests: { storage } } } };
  return { kind: 'patch', type: CLAIMS, ref: { namespace, name }, patch, why: `${name} becomes ${storage}` };
}
