// Whose prepared transactions the volumes of this name may hold: the short id in every gid is made once and found again on claims.
import { ANNOTATIONS } from '../desired/labels.ts';
import type { Observation } from './observation.ts';

/**
 *   status has it ───────────────▶ known      (claims must not say otherwise)
 *   claims of this name agree ───▶ adopt      (the cluster was deleted and its volumes were retained)
 *   no claim has one ────────────▶ make
 *   anything else ───────────────▶ conflict   (touching them could end another cluster's transactions)
 */
export type Identity =
  | { readonly kind: 'known'; readonly clusterId: string }
  | { readonly kind: 'adopt'; readonly clusterId: string; readonly claims: readonly string[] }
  | { readonly kind: 'make' }
  | { readonly kind: 'conflict'; readonly message: string };

export function identityOf({ clusterId, children: { claims } }: Observation): Identity {
  const marked = claims.flatMap(({ metadata }) => {
    const id = metadata.annotations?.[ANNOTATIONS.clusterId];
    return id === undefined ? [] : [{ name: metadata.name, id }];
  });
  const ids = [...new Set(marked.map(({ id }) => id))];
  if (clusterId !== undefined) {
    const foreign = marked.filter(({ id }) => id !== clusterId);
    return foreign.length === 0
      ? { kind: 'known', clusterId }
      : { kind: 'conflict', message: said(foreign, clusterId) };
  }
  const [only, ...more] = ids;
  if (only === undefined) return { kind: 'make' };
  if (more.length > 0) return { kind: 'conflict', message: said(marked, undefined) };
  return { kind: 'adopt', clusterId: only, claims: marked.map(({ name }) => name) };
}

function said(claims: readonly { readonly name: string; readonly id: string }[], own: string | undefined): string {
  const list = claims.map(({ name, id }) => `${name} (${id})`).join(', ');
  const ours = own === undefined ? 'of more than one cluster' : `of another cluster than this one (${own})`;
  return (
    `Volumes of this name are ${ours}: ${list}. Their logs and prepared transactions do not belong together. ` +
    'Delete or rename the claims that are not wanted, or make the ShardedCluster under another name.'
  );
}
