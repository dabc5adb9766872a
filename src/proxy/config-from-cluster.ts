// One ShardedCluster document means the same proxy everywhere: `atomshard dev` and the operator both turn it into configuration here.
import { z } from 'zod';
import { parseDuration, parseSize } from '../kernel/quantity.ts';
import { ConfigError, type ProxyConfigInput } from './config.ts';

const size = z.string().transform((text, context) => {
  const bytes = parseSize(text);
  if (bytes === undefined) context.addIssue({ code: 'custom', message: `must be a size such as 64Mi, not ${text}` });
  return bytes ?? 0;
});
const duration = z.string().transform((text, context) => {
  const ms = parseDuration(text);
  if (ms === undefined)
    context.addIssue({ code: 'custom', message: `must be a duration such as 90s or 24h, not ${text}` });
  return ms ?? 0;
});
const secretKey = z.looseObject({ name: z.string(), key: z.string().optional() });

const external = z.looseObject({
  name: z.string(),
  host: z.string(),
  port: z.int().min(1).max(65_535).default(5432),
  database: z.string().default('postgres'),
});

/**
 * What the proxy needs of the document. Blocks that describe it are strict, so that a misspelt rule is an error and not
 * silence; blocks that only concern Kubernetes are let through, because the CRD's schema judges them.
 */
const shardedCluster = z.strictObject({
  apiVersion: z.literal('atomshard.dev/v1alpha1'),
  kind: z.literal('ShardedCluster'),
  metadata: z.looseObject({ name: z.string().min(1).max(30) }),
  status: z.unknown().optional(),
  spec: z.strictObject({
    paused: z.boolean().optional(),
    shutdown: z.boolean().optional(),
    postgres: z.looseObject({ parameters: z.record(z.string(), z.coerce.string()).default({}) }).prefault({}),
    shards: z.looseObject({ count: z.int().min(1).max(1024).optional(), external: z.array(external).default([]) }),
    sharding: z
      .strictObject({
        buckets: z.int().min(1).max(65_536).default(4096),
        unlisted: z.enum(['reference', 'reject']).default('reference'),
        searchPath: z.array(z.string()).optional(),
        // Each table is judged by the proxy's own schema, whose paths say sharding.tables.N as here.
        tables: z.array(z.record(z.string(), z.unknown())).default([]),
      })
      .prefault({}),
    twoPhaseCommit: z
      .strictObject({
        enabled: z.boolean().default(true),
        auto: z.boolean().default(true),
        commitWait: duration.optional(),
        maxPreparedTransactions: z.int().min(0).optional(),
        inDoubtPolicy: z.enum(['Hold', 'Resolve']).optional(),
        recoveryGracePeriod: duration.optional(),
      })
      .prefault({}),
    proxy: z
      .looseObject({
        wal: z.looseObject({ segmentSize: size.optional(), retention: duration.optional() }).prefault({}),
        pool: z
          .strictObject({
            size: z.int().min(1).optional(),
            queueMax: z.int().min(0).optional(),
            queueWait: duration.optional(),
            idleTimeout: duration.optional(),
            lifetime: duration.optional(),
            connectTimeout: duration.optional(),
          })
          .prefault({}),
      })
      .prefault({}),
    credentials: z
      .looseObject({
        users: z.array(z.looseObject({ name: z.string().min(1), passwordSecretRef: secretKey.optional() })).default([]),
      })
      .prefault({}),
    imagePullSecrets: z.unknown().optional(),
    pvcRetentionPolicy: z.unknown().optional(),
    podDisruptionBudget: z.unknown().optional(),
    networkPolicy: z.unknown().optional(),
    monitoring: z.unknown().optional(),
  }),
});

/** A checked document, defaults filled in, sizes in bytes and durations in milliseconds. */
export type ShardedCluster = z.output<typeof shardedCluster>;

export interface ShardEndpoint {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly database: string;
}

/** What a document cannot know: where this proxy runs, and what the Secrets hold. */
export interface ProxyPlace {
  /** The cluster's short id, which is in every gid. Made once and never changed. */
  readonly clusterId: string;
  readonly instance: string;
  readonly listen: { readonly host: string; readonly port: number };
  /** The database's name for clients. */
  readonly database: string;
  readonly walDirectory: string;
  readonly shards: readonly ShardEndpoint[];
  readonly authentication: NonNullable<ProxyConfigInput['authentication']>;
  readonly resolver: ProxyConfigInput['resolver'];
}

/** Checks a parsed document; `source` names it in errors. Throws ConfigError with every problem and its path. */
export function checkShardedCluster(document: unknown, source: string): ShardedCluster {
  const checked = shardedCluster.safeParse(document);
  if (!checked.success) throw new ConfigError(source, checked.error.issues.flatMap(describeIssue));
  const { count, external: servers } = checked.data.spec.shards;
  if ((count === undefined) === (servers.length === 0))
    throw new ConfigError(source, ['spec.shards: needs either a count or a list of external shards']);
  return checked.data;
}

/** The proxy's configuration for a document; the result is still to be checked by checkProxyConfig, which knows the tables. */
export function proxyConfigFromShardedCluster(cluster: ShardedCluster, place: ProxyPlace): ProxyConfigInput {
  const { sharding, twoPhaseCommit, proxy } = cluster.spec;
  const { pool, wal } = proxy;
  return {
    listen: { ...place.listen },
    cluster: place.clusterId,
    instance: place.instance,
    database: place.database,
    wal: {
      directory: place.walDirectory,
      ...given({ segmentBytes: wal.segmentSize, retentionMs: wal.retention }),
    },
    authentication: place.authentication,
    shards: place.shards.map((shard) => ({ ...shard })),
    resolver: place.resolver,
    sharding: {
      buckets: sharding.buckets,
      unlisted: sharding.unlisted,
      ...given({ searchPath: sharding.searchPath }),
      tables: sharding.tables as NonNullable<NonNullable<ProxyConfigInput['sharding']>['tables']>,
    },
    twoPhaseCommit: {
      enabled: twoPhaseCommit.enabled,
      auto: twoPhaseCommit.auto,
      ...given({ commitWaitMs: twoPhaseCommit.commitWait }),
    },
    pool: given({
      size: pool.size,
      queueMax: pool.queueMax,
      queueWaitMs: pool.queueWait,
      idleMs: pool.idleTimeout,
      lifetimeMs: pool.lifetime,
      connectTimeoutMs: pool.connectTimeout,
    }),
  };
}

/** Only what the document says; what it leaves out gets the proxy's own default. */
function given<T extends object>(fields: T): { [Key in keyof T]?: Exclude<T[Key], undefined> } {
  const said = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(said) as { [Key in keyof T]?: Exclude<T[Key], undefined> };
}

function describeIssue(issue: z.core.$ZodIssue): string[] {
  const at = issue.path.length === 0 ? '' : `${issue.path.map(String).join('.')}`;
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => `${at === '' ? key : `${at}.${key}`}: unknown key`);
  return [`${at === '' ? 'document' : at}: ${issue.message}`];
}
