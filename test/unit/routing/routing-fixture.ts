// A small topology, and routes written short, for the routing tests.

import type { BoundParameters, Route } from '../../../src/routing/plan.ts';
import { Router } from '../../../src/routing/router.ts';
import { buildTopology, type ShardingConfig } from '../../../src/routing/topology.ts';
import { loadParser } from '../../../src/sql/parser.ts';

await loadParser();

export const SHARDING: ShardingConfig = {
  unlisted: 'reject',
  tables: [
    { name: 'accounts', key: 'id', type: 'bigint' },
    { name: 'orders', key: 'account_id', type: 'bigint' },
    { name: 'users', key: 'name', type: 'text' },
    { name: 'labels', key: 'name', type: 'varchar' },
    { name: 'docs', key: 'id', type: 'uuid' },
    { schema: 'sales', name: 'accounts', key: 'region', type: 'integer' },
    { name: 'Mixed', key: 'Key', type: 'bigint' },
    { name: 'currencies', reference: true },
    { name: 'rates', reference: true },
  ],
};

export const SHARDS = ['shard-0', 'shard-1', 'shard-2'] as const;

export function newRouter(sharding: ShardingConfig = SHARDING, shards: readonly string[] = SHARDS): Router {
  return new Router(buildTopology(sharding, shards));
}

export interface Value {
  readonly value: Buffer | string | null;
  readonly format?: 0 | 1 | undefined;
  readonly oid?: number | undefined;
}

export function bound(...values: (Value | string | null)[]): BoundParameters {
  const at = (index: number): Value => {
    const value = values[index];
    if (value === undefined) throw new Error(`parameter ${index} does not exist`);
    return typeof value === 'object' && value !== null ? value : { value };
  };
  return {
    count: values.length,
    format: (index) => at(index).format ?? 0,
    bytes: (index) => {
      const { value } = at(index);
      return typeof value === 'string' ? Buffer.from(value) : value;
    },
    typeOid: (index) => at(index).oid ?? 0,
  };
}

/** `one:2`, `some:0,2`, `all`, `any`, `split`, `refused:0A000`; several statements are joined by ` | `. */
export function told(router: Router, text: string, parameters?: BoundParameters): string {
  const plan = router.plan(text);
  return plan.statements.map((statement) => short(statement.route(parameters))).join(' | ');
}

export function short(route: Route): string {
  switch (route.kind) {
    case 'one':
      return `one:${route.shard}`;
    case 'some':
      return `some:${route.shards.join(',')}`;
    case 'split':
      return `split:${route.parts.map(({ shard }) => shard).join(',')}`;
    case 'refused':
      return `refused:${route.error.code}`;
    case 'all':
    case 'any':
      return route.kind;
  }
}

/** Three keys of which each lives on the shard of its index. */
export function keysPerShard(router: Router): [number, number, number] {
  const found: number[] = [];
  for (let key = 1; found.filter((one) => one !== undefined).length < 3; key += 1) {
    const shard = router.placement.ofSafeInteger(key);
    found[shard] ??= key;
  }
  return [found[0] ?? 0, found[1] ?? 0, found[2] ?? 0];
}
