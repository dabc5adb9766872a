// What the operator knows of itself before it works: its image, where it runs, and the makers of random text.
import { randomBytes } from 'node:crypto';
import type { Clock } from '../kernel/clock.ts';
import type { Logger } from '../telemetry/log.ts';
import { Certificates } from './cluster/certificates.ts';
import { PODS, type Pod } from './cluster/kinds.ts';
import type { Surroundings } from './cluster/plan.ts';
import { PASSWORD_BYTES, passwordFrom } from './desired/credential-secrets.ts';
import type { KubeClient } from './kube/client.ts';
import { isKubeError } from './kube/kube-error.ts';
import { type OperatorSettings, SettingsError } from './settings.ts';

const CLUSTER_ID_LENGTH = 8;
const ID_LETTERS = 'abcdefghijklmnopqrstuvwxyz0123456789';
/** An API server that is away comes back; to end and be started again would only take longer each time. */
const AGAIN_MS = 2_000;

export interface OwnSurroundingsOptions {
  readonly client: Pick<KubeClient, 'get'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly stop: AbortSignal;
}

/** Undefined when `stop` aborted first. Rejects with {@link SettingsError} where the own image cannot be known. */
export async function ownSurroundings(
  { image, pod }: OperatorSettings,
  options: OwnSurroundingsOptions,
): Promise<Surroundings | undefined> {
  const operatorImage = image ?? (await ownImage(pod, options));
  if (operatorImage === undefined) return undefined;
  const certificates = new Certificates();
  return {
    operatorImage,
    operatorPeers:
      pod === undefined
        ? [{ ipBlock: { cidr: '0.0.0.0/0' } }]
        : [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': pod.namespace } } }],
    // Whether their CRDs are there is found out by trying.
    monitoringKinds: { podMonitor: true, prometheusRule: true },
    newClusterId: () => randomLetters(CLUSTER_ID_LENGTH),
    newPassword: () => passwordFrom(randomBytes(PASSWORD_BYTES)),
    certificates: (observation) => certificates.actionsFor(observation),
  };
}

/** 36 does not divide 256, which makes some letters a little likelier; ids are told apart, not guessed. */
function randomLetters(length: number): string {
  return [...randomBytes(length)].map((byte) => ID_LETTERS[byte % ID_LETTERS.length]).join('');
}

async function ownImage(
  pod: OperatorSettings['pod'],
  { client, clock, log, stop }: OwnSurroundingsOptions,
): Promise<string | undefined> {
  if (pod === undefined)
    throw new SettingsError('--image: needed outside a Pod, as proxies run the image of the operator');
  while (!stop.aborted) {
    try {
      const own = (await client.get(PODS, pod, { signal: stop })) as PodWithImage;
      const found = own.spec?.containers?.[0]?.image;
      if (found !== undefined) return found;
      throw new SettingsError('--image: not given, and the own Pod has no container');
    } catch (error) {
      if (!isKubeError(error)) throw error;
      if (isKubeError(error, 'notFound', 'forbidden', 'invalid')) {
        const message = `--image: not given, and the own Pod could not be read: ${error.message}`;
        throw new SettingsError(message, { cause: error });
      }
      if (!stop.aborted) log.warn({ err: error }, 'the own Pod cannot be read yet');
      await clock.sleep(AGAIN_MS, stop);
    }
  }
  return undefined;
}

interface PodWithImage extends Pod {
  readonly spec?: NonNullable<Pod['spec']> & { readonly containers?: readonly { readonly image?: string }[] };
}
