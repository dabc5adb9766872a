// Which tables live where: the frozen picture of shards, buckets and tables that every plan is made against.
// The rule it keeps: a topology that could be read in two ways is refused whole, naming the path in the configuration.

export type KeyType = 'bigint' | 'integer' | 'smallint' | 'text' | 'varchar' | 'uuid';

export type TableRule =
  | {
      readonly kind: 'sharded';
      readonly schema: string;
      readonly name: string;
      /** The column whose value decides the shard. */
      readonly key: string;
      readonly type: KeyType;
    }
  | { readonly kind: 'reference'; readonly schema: string; readonly name: string };

export interface Topology {
  /** Logical names; a shard's number is its place here. */
  readonly shards: readonly string[];
  readonly buckets: number;
  /** bucket → shard number. */
  readonly bucketOwner: Uint16Array;
  /** By `schema.name`. */
  readonly tables: ReadonlyMap<string, TableRule>;
  /** What a table that is not listed is. */
  readonly unlisted: 'reference' | 'reject';
  /** Where unqualified names are looked for, e.g. `['public']`; pg_catalog is always first. */
  readonly searchPath: readonly string[];
}

/** The `sharding` section of the configuration, as YAML gives it. */
export interface ShardingConfig {
  readonly buckets?: number | undefined;
  readonly unlisted?: string | undefined;
  readonly searchPath?: readonly string[] | undefined;
  readonly tables?: readonly TableConfig[] | undefined;
}

export interface TableConfig {
  readonly schema?: string | undefined;
  readonly name: string;
  readonly key?: string | undefined;
  readonly type?: string | undefined;
  /** Only `hash` today. */
  readonly method?: string | undefined;
  readonly reference?: boolean | undefined;
}

/** A `sharding` section that cannot be used; `path` names the place, e.g. `sharding.tables[2].type`. */
export class TopologyError extends Error {
  override readonly name = 'TopologyError';
  readonly path: string;

  constructor(path: string, message: string) {
    super(`${path}: ${message}`);
    this.path = path;
  }
}

const BUCKETS_DEFAULT = 4096;
const BUCKETS_MAX = 65_536;
const SHARDS_MAX = 1024;

const KEY_TYPES: Readonly<Record<string, KeyType>> = {
  bigint: 'bigint',
  int8: 'bigint',
  integer: 'integer',
  int: 'integer',
  int4: 'integer',
  smallint: 'smallint',
  int2: 'smallint',
  text: 'text',
  varchar: 'varchar',
  'character varying': 'varchar',
  uuid: 'uuid',
};

/** Checks the `sharding` section and freezes it. @throws TopologyError that names the path. */
export function buildTopology(config: ShardingConfig, shardNames: readonly string[]): Topology {
  checkShards(shardNames);
  const buckets = config.buckets ?? BUCKETS_DEFAULT;
  if (!Number.isInteger(buckets) || buckets < shardNames.length || buckets > BUCKETS_MAX) {
    throw new TopologyError(
      'sharding.buckets',
      `must be a whole number from ${shardNames.length} (the number of shards) to ${BUCKETS_MAX}`,
    );
  }
  const unlisted = config.unlisted ?? 'reject';
  if (unlisted !== 'reference' && unlisted !== 'reject') {
    throw new TopologyError('sharding.unlisted', `must be reference or reject, not ${JSON.stringify(unlisted)}`);
  }
  const searchPath = config.searchPath ?? ['public'];
  if (searchPath.length === 0 || searchPath.some((schema) => typeof schema !== 'string' || schema === '')) {
    throw new TopologyError('sharding.searchPath', 'must name at least one schema');
  }
  const tables = new Map<string, TableRule>();
  for (const [index, table] of (config.tables ?? []).entries()) {
    const rule = buildRule(table, `sharding.tables[${index}]`);
    const id = tableId(rule.schema, rule.name);
    if (tables.has(id)) throw new TopologyError(`sharding.tables[${index}]`, `table ${id} is listed twice`);
    tables.set(id, rule);
  }
  return {
    shards: [...shardNames],
    buckets,
    bucketOwner: spread(buckets, shardNames.length),
    tables,
    unlisted,
    searchPath,
  };
}

/** The key of `Topology.tables`. A dot inside a name cannot be confused: such names are refused by buildTopology. */
export function tableId(schema: string, name: string): string {
  return `${schema}.${name}`;
}

function checkShards(shardNames: readonly string[]): void {
  if (shardNames.length === 0) throw new TopologyError('shards', 'at least one shard is needed');
  if (shardNames.length > SHARDS_MAX) throw new TopologyError('shards', `at most ${SHARDS_MAX} shards`);
  const seen = new Set<string>();
  for (const [index, name] of shardNames.entries()) {
    if (!/^[a-z0-9-]{1,32}$/.test(name)) {
      throw new TopologyError(`shards[${index}].name`, `must match [a-z0-9-]{1,32}, not ${JSON.stringify(name)}`);
    }
    if (seen.has(name)) throw new TopologyError(`shards[${index}].name`, `${name} is there twice`);
    seen.add(name);
  }
}

function buildRule(table: TableConfig, path: string): TableRule {
  const schema = table.schema ?? 'public';
  for (const [field, value] of Object.entries({ schema, name: table.name })) {
    if (typeof value !== 'string' || value === '' || value.includes('.')) {
      throw new TopologyError(`${path}.${field}`, 'must be a name without a dot');
    }
  }
  if (schema === 'pg_catalog' || schema === 'information_schema') {
    throw new TopologyError(`${path}.schema`, `tables of ${schema} are the shards' own`);
  }
  if (table.reference === true) {
    if (table.key !== undefined || table.type !== undefined || table.method !== undefined) {
      throw new TopologyError(path, 'a reference table has no key, type or method');
    }
    return { kind: 'reference', schema, name: table.name };
  }
  if (typeof table.key !== 'string' || table.key === '') {
    throw new TopologyError(`${path}.key`, 'names the shard key column (or write reference: true)');
  }
  if (table.method !== undefined && table.method !== 'hash') {
    throw new TopologyError(`${path}.method`, `only hash is built, not ${JSON.stringify(table.method)}`);
  }
  const type = Object.hasOwn(KEY_TYPES, table.type ?? '') ? KEY_TYPES[table.type ?? ''] : undefined;
  if (type === undefined) {
    throw new TopologyError(`${path}.type`, 'must be bigint, integer, smallint, text, varchar or uuid');
  }
  return { kind: 'sharded', schema, name: table.name, key: table.key, type };
}

/** With buckets = shards, bucket i is shard i; otherwise every shard owns one run of buckets, sizes equal within one. */
function spread(buckets: number, shards: number): Uint16Array {
  return Uint16Array.from({ length: buckets }, (_, bucket) => Math.floor((bucket * shards) / buckets));
}
