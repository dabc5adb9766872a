// How a changed configuration reaches what runs: the kubelet is nudged, the program reads it again, and its own word is the proof.
// The rule: nothing is restarted for what a reload can do; what a reload cannot do is named by the program itself.
import { ANNOTATIONS } from '../desired/labels.ts';
import { CONFIGURATION_SETTING } from '../desired/postgres-parameters.ts';
import type { CalmAction, Waiting } from './action.ts';
import { PODS, type Pod } from './kinds.ts';
import type { ProxyObservation, ShardObservation } from './observation.ts';
import { isLeaving, isStruggling } from './wellness.ts';

/**
 *   applied ──▶ nudged (annotation on the pod: the kubelet writes the file now, not within a minute)
 *                 │ RELOAD, again and again
 *                 ▼
 *   the program's own hash is the new one ──▶ done, or it names what only a restart changes
 */
export interface Rollout {
  readonly calm: readonly CalmAction[];
  readonly waiting: readonly Waiting[];
  /** Why only a restart brings what is wanted. */
  readonly restart: string | undefined;
}

/** How a running proxy refuses a list of shards that does not begin with its own (src/proxy/reload-plan.ts; a test compares). */
const SHARDS_REFUSED = /shards: their order decides which rows each holds/;

const DONE: Rollout = { calm: [], waiting: [], restart: undefined };

/** `sha256`: hex, of the configuration as it is in the Secret now. */
export function rollOutProxyConfig(proxy: ProxyObservation, sha256: string | undefined): Rollout {
  const { name, pod, look } = proxy;
  if (sha256 === undefined || pod === undefined || isLeaving(pod)) return DONE;
  const mark = sha256.slice(0, 16);
  if (look.kind !== 'seen') return strugglingRollout(name, pod, mark);
  const { configSha256, configError, restartNeeded } = look.facts;
  if (configSha256 === sha256) {
    if (restartNeeded.length === 0) return DONE;
    return { ...DONE, restart: `${restartNeeded.join(', ')} changed, which ${name} reads at its start only` };
  }
  // The operator changes the list of shards only where there is no row to lose, which a proxy learns of at its start.
  if (configError !== null && SHARDS_REFUSED.test(configError))
    return { ...DONE, restart: `${name} takes another list of shards at its start only` };
  const message =
    configError === null
      ? `${name} has not read its new configuration yet`
      : `${name} refuses its new configuration and goes on with the old one: ${configError}`;
  const waiting = [{ reason: configError === null ? 'ProxyReloading' : 'ConfigurationRefused', message }];
  const nudged = pod.metadata.annotations?.[ANNOTATIONS.reloadHash] === mark;
  return {
    calm: [nudged ? { kind: 'reloadProxy', proxy: name, configuration: mark } : nudge(pod, mark)],
    waiting,
    restart: undefined,
  };
}

/** `parameters`: postgresql.conf as it is in the ConfigMap now. */
export function rollOutShardConfig(
  shard: ShardObservation,
  parameters: Readonly<Record<string, string>> | undefined,
): Rollout {
  const { name, pod, look } = shard;
  const mark = parameters?.[CONFIGURATION_SETTING];
  if (mark === undefined || pod === undefined || isLeaving(pod)) return DONE;
  if (look.kind !== 'seen') return strugglingRollout(name, pod, mark);
  const { differences, pendingRestart, fileBehind, configurationFaults, certificateBehind = false } = look.facts;
  const nudged = pod.metadata.annotations?.[ANNOTATIONS.reloadHash] === mark;
  const wait = (reason: string, message: string, calm: readonly CalmAction[]): Rollout => ({
    calm: nudged ? calm : [nudge(pod, mark)],
    waiting: [{ reason, message }],
    restart: undefined,
  });
  const [fault] = configurationFaults ?? [];
  // The server goes on with what it has; no reload helps, and after a restart it would not come up.
  if (fault !== undefined && fileBehind === false) {
    const about = fault.name === null ? fault.message : `${fault.name}: ${fault.message}`;
    return wait('ParametersRefused', `${name} refuses its new configuration (${about})`, []);
  }
  // What ALTER SYSTEM overrides no reload changes; it is a problem of its own.
  const reloadable = differences.filter(({ needsRestart, overriddenBy }) => !needsRestart && overriddenBy === null);
  if (reloadable.length === 0 && pendingRestart.length === 0) {
    if (!certificateBehind) return DONE;
    // Until then it shows the certificate before, which ends, or whose CA is forgotten.
    return wait('ShardReloading', `${name} has not read its new certificate yet`, [
      { kind: 'reloadShard', shard: name, configuration: 'certificate' },
    ]);
  }
  const names = [...reloadable.map((each) => each.name), ...pendingRestart].filter(
    (each) => each !== CONFIGURATION_SETTING,
  );
  const message = `${name} has not read its new configuration yet${names.length === 0 ? '' : ` (${names.join(', ')})`}`;
  if (fileBehind === true) return wait('ShardReloading', message, []);
  // Which settings wait for a restart is only known once the file is read.
  if (reloadable.length > 0)
    return wait('ShardReloading', message, [{ kind: 'reloadShard', shard: name, configuration: mark }]);
  return { ...DONE, restart: `${pendingRestart.join(', ')} wait for a restart of ${name}` };
}

/**
 * A pod that falls again and again waits up to five minutes between its tries. When the configuration that it fell with is no
 * longer the present one, it is replaced instead; the annotation remembers with which one it fell.
 */
function strugglingRollout(name: string, pod: Pod, mark: string): Rollout {
  if (!isStruggling(pod)) return DONE;
  const fellWith = pod.metadata.annotations?.[ANNOTATIONS.reloadHash];
  if (fellWith === mark) return DONE;
  if (fellWith === undefined) return { ...DONE, calm: [nudge(pod, mark)] };
  return { ...DONE, restart: `${name} fell with an older configuration` };
}

function nudge({ metadata }: Pod, mark: string): CalmAction {
  const { namespace, name } = metadata;
  const patch = { metadata: { annotations: { [ANNOTATIONS.reloadHash]: mark } } };
  return { kind: 'patch', type: PODS, ref: { namespace, name }, patch, why: `${name} gets its new files now` };
}
