// The proxy's configuration: one YAML document, checked whole before anything starts; an unknown key is an error, never ignored.
import { readFileSync } from 'node:fs';
import { parseDocument } from 'yaml';
import { z } from 'zod';

const LOGICAL_NAME = /^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/;
const logicalName = z
  .string()
  .regex(LOGICAL_NAME, 'must be 1 to 32 of a-z, 0-9 and -, and begin and end with a letter or digit');
const port = z.int().min(0).max(65_535);
const milliseconds = z.int().min(0).max(2_147_483_647);
const bytes = z.int().min(1);
const login = z.strictObject({ user: z.string().min(1), password: z.string().optional() });

/** Towards one shard; `require` encrypts without looking at the certificate, as in libpq. */
const shardTls = z.discriminatedUnion(
  'mode',
  [
    z.strictObject({ mode: z.literal('disable') }),
    z.strictObject({ mode: z.literal('require') }),
    z.strictObject({
      mode: z.literal('verify-full'),
      caFile: z.string().min(1),
      /** The name that the certificate must carry, when it is not `host`. */
      serverName: z.string().min(1).optional(),
    }),
  ],
  { error: 'must be disable, require or verify-full' },
);

/** Towards clients; `allow` takes those without encryption too. */
const clientTls = z.discriminatedUnion(
  'mode',
  [
    z.strictObject({ mode: z.literal('disable') }),
    z.strictObject({ mode: z.enum(['allow', 'require']), certFile: z.string().min(1), keyFile: z.string().min(1) }),
  ],
  { error: 'must be disable, allow or require' },
);

const table = z.union(
  [
    z.strictObject({
      schema: z.string().min(1).default('public'),
      name: z.string().min(1),
      key: z.string().min(1),
      type: z.enum(['bigint', 'integer', 'smallint', 'text', 'varchar', 'uuid']),
      method: z.literal('hash').default('hash'),
    }),
    z.strictObject({
      schema: z.string().min(1).default('public'),
      name: z.string().min(1),
      reference: z.literal(true),
    }),
  ],
  { error: 'must be a sharded table {name, key, type} or {name, reference: true}' },
);

/** Who may log in to the admin database; passwords as for clients. */
const admin = z.strictObject({
  database: z.string().min(1).default('atomshard'),
  users: z
    .array(z.strictObject({ name: z.string().min(1), password: z.string().min(1) }))
    .max(100)
    .default([]),
});

const proxyConfig = z.strictObject({
  listen: z.strictObject({ host: z.string().default('127.0.0.1'), port: port.default(6432) }).prefault({}),
  tls: clientTls.prefault({ mode: 'disable' }),
  cluster: z.string().regex(/^[a-z0-9]{4,12}$/, 'must be 4 to 12 of a-z and 0-9'),
  instance: logicalName.default('proxy-0'),
  database: z.string().min(1).default('postgres'),
  wal: z.strictObject({
    directory: z.string().min(1),
    segmentBytes: bytes.min(65_536).default(64 * 1024 * 1024),
    reserveBytes: z
      .int()
      .min(0)
      .default(16 * 1024 * 1024),
    retentionMs: milliseconds.default(86_400_000),
    retentionBytesMax: bytes.default(1024 * 1024 * 1024),
  }),
  authentication: z.strictObject({
    method: z.enum(['scram-sha-256', 'trust']).default('scram-sha-256'),
    users: z
      .array(z.strictObject({ name: z.string().min(1), password: z.string().optional() }))
      .max(10_000)
      .default([]),
  }),
  admin: admin.prefault({}),
  http: z.strictObject({ host: z.string().default('127.0.0.1'), port: port.default(8080) }).optional(),
  shards: z
    .array(
      z.strictObject({
        name: logicalName,
        host: z.string().min(1),
        port: port.default(5432),
        database: z.string().min(1).default('postgres'),
        tls: shardTls.prefault({ mode: 'disable' }),
      }),
    )
    .min(1)
    .max(1024),
  serverUser: z.strictObject({ name: z.string().min(1), password: z.string().optional() }).optional(),
  resolver: login,
  sharding: z
    .strictObject({
      buckets: z.int().min(1).max(65_536).default(4096),
      unlisted: z.enum(['reference', 'reject']).default('reference'),
      searchPath: z.array(z.string().min(1)).min(1).default(['public']),
      tables: z.array(table).max(10_000).default([]),
    })
    .prefault({}),
  twoPhaseCommit: z
    .strictObject({
      enabled: z.boolean().default(true),
      auto: z.boolean().default(true),
      commitWaitMs: milliseconds.default(5_000),
      prepareWaitMs: milliseconds.min(1).default(60_000),
    })
    .prefault({}),
  recovery: z.strictObject({ intervalMs: milliseconds.min(100).default(5_000) }).prefault({}),
  deadlock: z.strictObject({ timeoutMs: milliseconds.min(100).default(1_000) }).prefault({}),
  pool: z
    .strictObject({
      size: z.int().min(1).max(10_000).default(20),
      queueMax: z.int().min(0).max(1_000_000).default(10_000),
      queueWaitMs: milliseconds.default(10_000),
      idleMs: milliseconds.default(300_000),
      lifetimeMs: milliseconds.default(3_600_000),
      connectTimeoutMs: milliseconds.min(1).default(5_000),
    })
    .prefault({}),
  limits: z
    .strictObject({
      clientsMax: z.int().min(1).max(1_000_000).default(1_000),
      frameBytesMax: bytes.max(0x3fff_ffff).default(0x3fff_ffff),
      startupTimeoutMs: milliseconds.min(1).default(10_000),
      preparedStatementsMax: z.int().min(1).default(1_000),
    })
    .prefault({}),
  shutdown: z.strictObject({ graceMs: milliseconds.default(30_000) }).prefault({}),
  log: z.strictObject({ level: z.enum(['debug', 'info', 'warn', 'error']).default('info') }).prefault({}),
});

/** The checked configuration, every default filled in. Durations are milliseconds, sizes bytes. */
export type ProxyConfig = z.output<typeof proxyConfig>;
/** TLS towards clients. */
export type ClientTls = ProxyConfig['tls'];
export type ProxyConfigInput = z.input<typeof proxyConfig>;

/** A configuration that is wrong as a whole; `problems` lists every path with its reason. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly string[];
  constructor(source: string, problems: readonly string[]) {
    super(`${source}: ${problems.join('; ')}`);
    this.problems = problems;
  }
}

/** Checks an instance name that does not come from the file. Throws ConfigError. */
export function checkInstance(name: string): string {
  const checked = logicalName.safeParse(name);
  if (!checked.success)
    throw new ConfigError(
      '--instance',
      checked.error.issues.map(({ message }) => message),
    );
  return checked.data;
}

/** Checks an already parsed document. `source` names it in errors. Throws ConfigError with all problems at once. */
export function checkProxyConfig(document: unknown, source: string): ProxyConfig {
  const checked = proxyConfig.safeParse(document);
  if (!checked.success) throw new ConfigError(source, checked.error.issues.flatMap(describeIssue));
  const problems = crossFieldProblems(checked.data);
  if (problems.length > 0) throw new ConfigError(source, problems);
  return checked.data;
}

/** Reads and checks a YAML file. Throws ConfigError naming the file, and for YAML faults the line. */
export function readProxyConfig(file: string): ProxyConfig {
  return parseProxyConfig(readConfigBytes(file).toString('utf8'), file);
}

/** The bytes of a configuration file. Throws ConfigError when it cannot be read. */
export function readConfigBytes(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new ConfigError(file, [`cannot be read: ${error instanceof Error ? error.message : String(error)}`]);
  }
}

/** Parses and checks YAML; `source` names it in errors. Throws ConfigError. */
export function parseProxyConfig(text: string, source: string): ProxyConfig {
  const document = parseDocument(text, { prettyErrors: true });
  if (document.errors.length > 0) {
    throw new ConfigError(
      source,
      document.errors.map((error) => `not valid YAML: ${error.message.split('\n')[0] ?? ''}`),
    );
  }
  return checkProxyConfig(document.toJS(), source);
}

function describeIssue(issue: z.core.$ZodIssue): string[] {
  const at = issue.path.length === 0 ? 'document' : issue.path.map(String).join('.');
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => `${at === 'document' ? '' : `${at}.`}${key}: unknown key`);
  return [`${at}: ${issue.message}`];
}

/** Rules between fields, which a schema of single fields cannot say. */
function crossFieldProblems(config: ProxyConfig): string[] {
  const problems: string[] = [];
  const repeated = (names: readonly string[]) => names.filter((name, index) => names.indexOf(name) !== index);
  for (const name of repeated(config.shards.map((shard) => shard.name)))
    problems.push(`shards: name ${name} is used twice`);
  for (const { name, host, tls } of config.shards)
    if (tls.mode !== 'disable' && host.startsWith('/'))
      problems.push(`shards: ${name} is reached by a Unix socket, which PostgreSQL never encrypts; leave out its tls`);
  for (const name of repeated(config.authentication.users.map((user) => user.name)))
    problems.push(`authentication.users: name ${name} is used twice`);
  for (const name of repeated(config.admin.users.map((user) => user.name)))
    problems.push(`admin.users: name ${name} is used twice`);
  if (config.admin.database === config.database)
    problems.push(`admin.database: ${config.database} is the database of the clients; write another name`);
  for (const name of repeated(config.sharding.tables.map((entry) => `${entry.schema}.${entry.name}`)))
    problems.push(`sharding.tables: ${name} is listed twice`);
  if (config.sharding.buckets < config.shards.length)
    problems.push(`sharding.buckets: ${config.sharding.buckets} is fewer than the ${config.shards.length} shards`);
  if (config.authentication.method === 'scram-sha-256') {
    if (config.authentication.users.length === 0)
      problems.push('authentication.users: scram-sha-256 needs at least one user with a password');
    for (const user of config.authentication.users)
      if (user.password === undefined)
        problems.push(`authentication.users: ${user.name} has no password, which scram-sha-256 needs`);
  }
  return problems;
}
