// What the operator's own roles on the shards are called: fixed where the server is ours, with the cluster's id where it is not,
// because two clusters may be guests of one external server and each has passwords of its own.

export interface RoleNames {
  /** Finishes prepared transactions and ends backends of dead proxies; reads no table. */
  readonly resolver: string;
  /** pg_monitor, for exporters. */
  readonly metrics: string;
}

/** The names on the shards of a cluster; `external` as the spec has it. */
export function roleNames(clusterId: string, external: boolean): RoleNames {
  const suffix = external ? `_${clusterId}` : '';
  return { resolver: `atomshard_resolver${suffix}`, metrics: `atomshard_metrics${suffix}` };
}
