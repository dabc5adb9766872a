// What `atomshard operator` is told by flags and environment, checked and with its defaults; nothing else reads the environment.
import { parseDuration } from '../kernel/quantity.ts';
import type { LogLevel } from '../telemetry/log.ts';

/** As commander hands them over. */
export interface OperatorFlags {
  readonly namespaces?: string;
  readonly image?: string;
  readonly httpPort: number;
  readonly leaderElection: boolean;
  readonly leaseName: string;
  readonly leaseNamespace?: string;
  readonly logLevel: string;
  readonly workers: number;
  readonly resync: string;
  readonly kubeconfig?: string;
  readonly context?: string;
}

export interface OperatorSettings {
  /** Empty: all. */
  readonly namespaces: readonly string[];
  /** Undefined: asked of the own Pod. */
  readonly image: string | undefined;
  readonly httpPort: number;
  /** Undefined: this process leads without asking, for one that surely is alone. */
  readonly lease: { readonly namespace: string; readonly name: string } | undefined;
  readonly logLevel: LogLevel;
  readonly workers: number;
  readonly resyncMs: number;
  readonly kubeconfig: string | undefined;
  readonly context: string | undefined;
  /** Where this process runs; undefined outside a Pod. */
  readonly pod: { readonly namespace: string; readonly name: string } | undefined;
}

/** A flag that cannot be used, in words for the command line. */
export class SettingsError extends Error {
  override readonly name = 'SettingsError';
}

const LOG_LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error', 'silent'];
const NAMESPACE = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** Throws {@link SettingsError}. */
export function settingsOf(flags: OperatorFlags, env: Readonly<Record<string, string | undefined>>): OperatorSettings {
  const namespaces = (flags.namespaces ?? '').split(',').map((each) => each.trim());
  const named = [...new Set(namespaces.filter((each) => each !== ''))];
  for (const each of named)
    if (!NAMESPACE.test(each)) throw new SettingsError(`--namespaces: ${each} is not the name of a namespace`);
  const logLevel = LOG_LEVELS.find((level) => level === flags.logLevel);
  if (logLevel === undefined) throw new SettingsError(`--log-level: write one of ${LOG_LEVELS.join(', ')}`);
  const resyncMs = parseDuration(flags.resync);
  if (resyncMs === undefined) throw new SettingsError('--resync: write a duration such as 30m or 10h');
  const pod = env.POD_NAME && env.POD_NAMESPACE ? { namespace: env.POD_NAMESPACE, name: env.POD_NAME } : undefined;
  const leaseNamespace = flags.leaseNamespace ?? pod?.namespace;
  if (flags.leaderElection && leaseNamespace === undefined)
    throw new SettingsError('--lease-namespace: needed outside a Pod, or write --no-leader-election');
  return {
    namespaces: named,
    image: textOf(flags.image) ?? textOf(env.ATOMSHARD_IMAGE),
    httpPort: flags.httpPort,
    lease:
      flags.leaderElection && leaseNamespace !== undefined
        ? { namespace: leaseNamespace, name: flags.leaseName }
        : undefined,
    logLevel,
    workers: flags.workers,
    resyncMs,
    kubeconfig: flags.kubeconfig ?? textOf(env.KUBECONFIG),
    context: flags.context,
    pod,
  };
}

function textOf(text: string | undefined): string | undefined {
  return text === undefined || text === '' ? undefined : text;
}
