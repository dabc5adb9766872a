// What a changed configuration means for a running proxy: what may change now, what waits for a restart, and what is refused.
// Pure. The rule: it is taken as a whole or not at all, and what waits stays exactly as the process started with it.
import { isDeepStrictEqual } from 'node:util';
import type { ProxyConfig } from './config.ts';

export type ReloadPlan =
  | {
      readonly kind: 'apply';
      /** To be in force: the new one, with what waits for a restart as it was. */
      readonly config: ProxyConfig;
      /** Paths, e.g. `listen.port`. */
      readonly restartNeeded: readonly string[];
      /** Paths that change now. */
      readonly changed: readonly string[];
    }
  | { readonly kind: 'refused'; readonly problems: readonly string[] };

/** Sections, or keys in them, that only a restart changes. */
export const RESTART_KEYS = ['listen', 'cluster', 'instance', 'database', 'wal', 'http', 'admin.database'] as const;

export function planReload(started: ProxyConfig, current: ProxyConfig, next: ProxyConfig): ReloadPlan {
  const problems = refusals(current, next);
  if (problems.length > 0) return { kind: 'refused', problems };
  const restartNeeded = differences(started, next).filter(isRestartKey);
  const { listen, cluster, instance, database, wal, http } = started;
  const config: ProxyConfig = {
    ...next,
    ...{ listen, cluster, instance, database, wal, http },
    admin: { ...next.admin, database: started.admin.database },
  };
  return { kind: 'apply', config, restartNeeded, changed: differences(current, config) };
}

export function isRestartKey(path: string): boolean {
  return RESTART_KEYS.some((key) => path === key || path.startsWith(`${key}.`));
}

/** Changes after which rows would be looked for where they are not. */
function refusals(current: ProxyConfig, next: ProxyConfig): string[] {
  const problems: string[] = [];
  const before = current.shards.map(({ name }) => name);
  const kept = next.shards.slice(0, before.length).map(({ name }) => name);
  if (!isDeepStrictEqual(before, kept)) {
    problems.push(
      `shards: their order decides which rows each holds; keep ${before.join(', ')} and add new ones behind`,
    );
  }
  if (next.sharding.buckets !== current.sharding.buckets) {
    problems.push(`sharding.buckets: rows are placed by it; write ${current.sharding.buckets}`);
  }
  return problems;
}

/** Paths of leaves that differ; a list is one leaf, but for the shards. */
function differences(one: object, other: object, path = ''): string[] {
  const keys = [...new Set([...Object.keys(one), ...Object.keys(other)])];
  return keys.flatMap((key) => {
    const at = path === '' ? key : `${path}.${key}`;
    const left: unknown = Reflect.get(one, key);
    const right: unknown = Reflect.get(other, key);
    if (isDeepStrictEqual(left, right)) return [];
    return isSection(left) && isSection(right) ? differences(left, right, at) : [at];
  });
}

function isSection(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
