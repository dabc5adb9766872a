// Secrets that the operator makes once and never changes: passwords. One that is missing is made again with new ones. Pure but for the
// random text.
import { internalSecret, superuserSecret, userSecret } from '../desired/credential-secrets.ts';
import type { DesiredObject } from '../desired/desired-input.ts';
import { ownerOf } from '../desired/labels.ts';
import { clusterNames, SUPERUSER, userSecretName } from '../desired/names.ts';
import type { CalmAction } from './action.ts';
import { SECRETS } from './kinds.ts';
import type { Observation } from './observation.ts';
import { userNames } from './secret-needs.ts';

/** Creates those that are missing. */
export function createMissingSecrets({ cluster, secrets }: Observation, newPassword: () => string): CalmAction[] {
  const names = clusterNames(cluster.metadata.name);
  const makers = new Map<string, () => DesiredObject>([
    [
      names.internalSecret,
      () => internalSecret(cluster, { admin: newPassword(), resolver: newPassword(), metrics: newPassword() }),
    ],
    [names.superuserSecret, () => superuserSecret(cluster, { name: SUPERUSER, password: newPassword() })],
    ...userNames(cluster.spec).map(
      (name) =>
        [
          userSecretName(cluster.metadata.name, name),
          () => userSecret(cluster, { name, password: newPassword() }),
        ] as const,
    ),
  ]);
  return [...makers].flatMap(([name, make]): CalmAction[] => {
    const needed = secrets.get(name);
    // Those that the spec names elsewhere are not needed under this name.
    if (needed === undefined || needed.secret !== undefined) return [];
    return [{ kind: 'createOnce', ...make() }];
  });
}

/** Credentials stay where volumes stay, and go where they go: by reference to the cluster, as pvcRetentionPolicy says now. */
export function ownMadeSecrets({ cluster, secrets }: Observation): CalmAction[] {
  const { namespace, uid } = cluster.metadata;
  const owned = cluster.spec.pvcRetentionPolicy.whenDeleted === 'Delete';
  return [...secrets.values()].flatMap(({ origin, secret }): CalmAction[] => {
    if (origin !== 'made' || secret === undefined) return [];
    const { name, ownerReferences = [] } = secret.metadata;
    if (ownerReferences.some((owner) => owner.uid === uid) === owned) return [];
    const patch = { metadata: { ownerReferences: owned ? [ownerOf(cluster)] : [] } };
    const why = `${name} ${owned ? 'goes with' : 'outlives'} the cluster, as its volumes do`;
    return [{ kind: 'patch', type: SECRETS, ref: { namespace, name }, patch, why }];
  });
}
