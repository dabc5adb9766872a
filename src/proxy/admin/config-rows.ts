// SHOW CONFIG: the configuration in force, one row a leaf, without what is secret.
import type { ProxyConfig } from '../config.ts';
import { isRestartKey } from '../reload-plan.ts';
import type { AdminRow } from './answer.ts';

/** Items of lists are numbered, e.g. `shards.0.host`. */
export function configRows(config: ProxyConfig): AdminRow[] {
  return leaves(config, '').map(([path, value]) => [path, JSON.stringify(value), isRestartKey(path)]);
}

function leaves(section: object, path: string): [string, unknown][] {
  return Object.entries(section).flatMap(([key, value]): [string, unknown][] => {
    const at = path === '' ? key : `${path}.${key}`;
    if (typeof value === 'object' && value !== null) return leaves(value, at);
    return value === undefined ? [] : [[at, hideSecrets(key, value)]];
  });
}

function hideSecrets(key: string, value: unknown): unknown {
  return /password/i.test(key) ? '***' : value;
}
