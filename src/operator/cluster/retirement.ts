// What is left when a cluster gets smaller: shards that left the spec are stopped and kept, claims of proxies follow their policy. Pure.
import { ANNOTATIONS } from '../desired/labels.ts';
import type { RecoveryFindings } from '../recovery/types.ts';
import type { CalmAction, Waiting } from './action.ts';
import { CLAIMS } from './kinds.ts';
import type { Observation } from './observation.ts';
import { scale } from './scale.ts';

/** Which shards proxies use. */
export interface InUse {
  readonly placement: readonly string[];
  /** Of the configuration with this placement. */
  readonly configSha256: string | undefined;
}

export function retireShards(
  { shards, proxies }: Observation,
  { gates }: RecoveryFindings,
  { placement, configSha256 }: InUse,
): { readonly calm: readonly CalmAction[]; readonly waiting: readonly Waiting[] } {
  const calm: CalmAction[] = [];
  const waiting: Waiting[] = [];
  for (const { name, kind, statefulSet } of shards) {
    if (kind !== 'retired' || placement.includes(name) || (statefulSet?.spec?.replicas ?? 0) === 0) continue;
    const using = proxies.filter(
      ({ pod, look }) =>
        pod !== undefined &&
        (look.kind !== 'seen' || look.facts.configSha256 !== configSha256 || look.facts.restartNeeded.length > 0),
    );
    const gate = gates.restart.get(name);
    if (using.length > 0) {
      const names = using.map((proxy) => proxy.name).join(', ');
      waiting.push({ reason: 'ShardInUse', message: `${name} is stopped when it is no longer used by ${names}` });
    } else if (gate !== undefined && !gate.ignored) {
      // Without a deadline: nobody could end them on a shard that is down for good.
      const wayOut = `or at once with the annotation ${ANNOTATIONS.ignoreInDoubt}=${name}`;
      const message = `${name} left the spec; it is stopped when what is in doubt on it (${gate.inDoubt}) has ended, ${wayOut}`;
      waiting.push({ reason: gate.reason, message });
    } else {
      calm.push(...scale(statefulSet, 0));
    }
  }
  return { calm, waiting };
}

/** Claims of proxies that were scaled away, where the policy says so and nothing of theirs is in doubt. */
export function leftoverClaims(
  { cluster, proxies, proxySet }: Observation,
  { gates, instances }: RecoveryFindings,
): CalmAction[] {
  const { namespace } = cluster.metadata;
  if (cluster.spec.pvcRetentionPolicy.whenScaled !== 'Delete' || proxySet === undefined) return [];
  const kept = Math.max(cluster.spec.proxy.replicas, proxySet.spec?.replicas ?? 0);
  return proxies.flatMap(({ ordinal, instance, pod, claim }): CalmAction[] => {
    if (ordinal < kept || pod !== undefined || claim === undefined) return [];
    if (claim.metadata.deletionTimestamp !== undefined || gates.removal.has(instance)) return [];
    // Unknown to recovery is not the same as finished.
    if (instances.find((each) => each.instance === instance)?.state.kind !== 'gone') return [];
    const { name, uid = '' } = claim.metadata;
    const why = 'pvcRetentionPolicy.whenScaled is Delete';
    return [{ kind: 'delete', type: CLAIMS, ref: { namespace, name }, uid, why }];
  });
}
