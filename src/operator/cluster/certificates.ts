// The certificates that the operator makes itself, as steps of a plan: looked at when a Secret of theirs changed or the time has come.
import type { ShardedCluster } from '../api/sharded-cluster.ts';
import { type CertificateSecret, certificateSecret } from '../desired/credential-secrets.ts';
import type { DesiredObject } from '../desired/desired-input.ts';
import { clusterNames, proxyCertificateNames, shardCertificateNames } from '../desired/names.ts';
import { objectKey } from '../kube/resource.ts';
import type { WantedCertificate } from '../tls/needs.ts';
import { renewCertificates } from '../tls/renew.ts';
import type { TlsSecretTexts } from '../tls/stored.ts';
import type { CalmAction } from './action.ts';
import { childOf } from './caches.ts';
import { SECRETS, type Secret } from './kinds.ts';
import type { Observation } from './observation.ts';
import { secretText } from './secret-needs.ts';

interface Looked {
  readonly at: string;
  readonly lookAgainAtMs: number;
}

export class Certificates {
  /** Signatures are checked only where something changed. */
  readonly #looked = new Map<string, Looked>();

  /** Secrets to be written now. */
  actionsFor(observation: Observation): readonly CalmAction[] {
    const { cluster, children, nowMs } = observation;
    const key = objectKey(cluster.metadata);
    const wanted = wantedCertificates(cluster);
    if (wanted.length === 0) return [];
    const names = clusterNames(cluster.metadata.name);
    const live = (which: CertificateSecret) => childOf(children.byKey, SECRETS, names[which]);
    const versions = CERTIFICATE_SECRETS.map((which) => live(which)?.metadata.resourceVersion ?? '');
    const at = JSON.stringify([versions, wanted]);
    const before = this.#looked.get(key);
    if (before?.at === at && nowMs < before.lookAgainAtMs) return [];
    const servers = wanted.flatMap(({ which, secret }) => {
      const found = live(which);
      return found === undefined ? [] : [[secret, textsOf(found)] as const];
    });
    const ca = live('caSecret');
    const secrets = { authority: ca && textsOf(ca), servers: new Map(servers) };
    const writes = renewCertificates(nowMs, cluster.metadata.name, secrets, wanted);
    const actions: CalmAction[] = [];
    if (writes.authority !== undefined) {
      const written = write(certificateSecret(cluster, 'caSecret', writes.authority), ca);
      // What is applied is applied at once with others; what this CA signs must not be there before it is. The next round sees it.
      if (written.kind === 'apply') return [written];
      actions.push(written);
    }
    for (const { which, secret } of wanted) {
      const content = writes.servers.get(secret);
      if (content !== undefined) actions.push(write(certificateSecret(cluster, which, content), live(which)));
    }
    if (actions.length === 0) this.#looked.set(key, { at, lookAgainAtMs: writes.lookAgainAtMs });
    return actions;
  }

  forget(clusterKey: string): void {
    this.#looked.delete(clusterKey);
  }
}

const CERTIFICATE_SECRETS = ['caSecret', 'shardTlsSecret', 'proxyTlsSecret'] as const;

/** Those that the spec does not name a Secret for. */
function wantedCertificates(cluster: ShardedCluster): (WantedCertificate & { readonly which: CertificateSecret })[] {
  const { metadata, spec } = cluster;
  const names = clusterNames(metadata.name);
  const shards = spec.shards.external === undefined && spec.postgres.tls.mode !== 'Disable';
  const own = (tls: { readonly secretName?: string }) => tls.secretName === undefined;
  return [
    ...(shards && own(spec.postgres.tls)
      ? [{ which: 'shardTlsSecret', secret: names.shardTlsSecret, names: shardCertificateNames(cluster) } as const]
      : []),
    ...(spec.proxy.tls.mode !== 'Disable' && own(spec.proxy.tls)
      ? [{ which: 'proxyTlsSecret', secret: names.proxyTlsSecret, names: proxyCertificateNames(cluster) } as const]
      : []),
  ];
}

function textsOf(secret: Secret): TlsSecretTexts {
  return {
    'tls.crt': secretText(secret, 'tls.crt'),
    'tls.key': secretText(secret, 'tls.key'),
    'ca.crt': secretText(secret, 'ca.crt'),
  };
}

/**
 * Each try makes other keys, so that one made from an old copy must not replace what is there: what is new is created, and what is
 * replaced must be of the version that was looked at.
 */
function write({ type, object }: DesiredObject, live: Secret | undefined): CalmAction {
  if (live === undefined) return { kind: 'createOnce', type, object };
  const metadata = { ...object.metadata, resourceVersion: live.metadata.resourceVersion ?? '' };
  return { kind: 'apply', type, object: { ...object, metadata } };
}
