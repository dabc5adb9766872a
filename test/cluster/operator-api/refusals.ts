// One wrong spec per rule of the CRD, as a change of a cluster that stands, with the field and the words that a person must see.

/** Which cluster is changed: one with shards made by the operator, or one with external shards. */
export type Subject = 'made' | 'external';

export interface Refusal {
  readonly subject: Subject;
  /** A merge patch of the spec. */
  readonly spec: object;
  readonly at: string;
  readonly says: string;
}

const credentialsSecretRef = { name: 'shards' };
const east = { name: 'east', host: 'east.example', credentialsSecretRef };
const west = { name: 'west', host: 'west.example', credentialsSecretRef };

/** The two clusters that stand before each change. */
export const SUBJECTS: Readonly<Record<Subject, object>> = {
  made: {
    postgres: { initdbArgs: ['--encoding=UTF8'] },
    shards: {
      count: 3,
      storage: { size: '10Gi', storageClassName: 'fast' },
      overrides: [{ name: 'shard-1', storage: { size: '20Gi' } }],
    },
    sharding: { tables: [{ name: 'accounts', key: 'id', type: 'bigint' }] },
  },
  external: { shards: { external: [east, west] } },
};

const made = (spec: object, at: string, says: string): Refusal => ({ subject: 'made', spec, at, says });
const external = (spec: object, at: string, says: string): Refusal => ({ subject: 'external', spec, at, says });
const parameter = (name: string, value: string | number, says: string): Refusal =>
  made({ postgres: { parameters: { [name]: value } } }, 'spec.postgres.parameters', says);
const initdb = (args: readonly string[], says: string): Refusal =>
  made({ postgres: { initdbArgs: args } }, 'spec.postgres.initdbArgs', says);
const tables = (entry: object, says: string): Refusal =>
  made({ sharding: { tables: [entry] } }, 'spec.sharding.tables[0]', says);
const duration = (block: string, field: string): Refusal => {
  const at = `spec.${block}.${field}`;
  const spec = at
    .split('.')
    .slice(1)
    .reduceRight<unknown>((inner, key) => ({ [key]: inner }), '5 minutes') as object;
  return made(spec, at, 'write a duration such as 500ms, 90s or 24h');
};

const OWNED_PATH = 'leave it out; the operator sets where the files of a shard are';
const OWNED_LISTEN = 'leave it out; the operator sets where shards listen so that the proxies find them';
const OWNED_SAFETY = 'leave it out; changed, a crash could lose transactions that a shard promised to keep';
const NOT_YET = 'leave it out; archiving and standbys are not part of this version';
const PARAMETERS = 'spec.postgres.parameters';
const TABLE_FORM =
  'write either key and type (rows are spread by that column) or reference: true (the table is whole on every shard)';
const CLASS =
  'storageClassName cannot change: volumes stay in the class in which they were made; make a new cluster in the other class';
const BUCKETS = 'spec.sharding.buckets: every shard needs a bucket; write at least as many as';
const TLS_PAIR = 'write tlsMode: VerifyFull and caSecretRef together; the other modes verify no certificate';
const ROLE =
  'postgres, pg_… and atomshard… are roles of PostgreSQL and of the operator; write another name, such as app';
const MANY = Array.from({ length: 200 }, (_, index) => ({ ...east, name: `s${index}` }));

const PARAMETER_REFUSALS: readonly Refusal[] = [
  parameter(
    'Work_Mem',
    '8MB',
    `${PARAMETERS}: Work_Mem is not the name of a setting; write it in lower case as in pg_settings`,
  ),
  parameter(
    'include_dir',
    'x',
    `${PARAMETERS}: include_dir is not the name of a setting; write it in lower case as in pg_settings`,
  ),
  parameter('work_mem', '8MB\nfsync = off', `${PARAMETERS}: a value is one line; remove the line break`),
  parameter(
    'max_prepared_transactions',
    100,
    `${PARAMETERS}.max_prepared_transactions: leave it out; it is computed from the proxies' pools, or write spec.twoPhaseCommit.maxPreparedTransactions`,
  ),
  ...['listen_addresses', 'port', 'unix_socket_directories'].map((name) =>
    parameter(name, '5433', `${PARAMETERS}.${name}: ${OWNED_LISTEN}`),
  ),
  ...['fsync', 'full_page_writes', 'data_sync_retry'].map((name) =>
    parameter(name, 'off', `${PARAMETERS}.${name}: ${OWNED_SAFETY}`),
  ),
  parameter('wal_level', 'minimal', `${PARAMETERS}.wal_level: leave it out; the operator sets it to replica`),
  ...['off', 'local', 'remote_write'].map((value) =>
    parameter(
      'synchronous_commit',
      value,
      `${PARAMETERS}.synchronous_commit: write "on" or remote_apply; with less, a commit that the client was told of can be lost`,
    ),
  ),
  parameter('ssl_ciphers', 'HIGH', `${PARAMETERS}.ssl_ciphers: leave it out; write spec.postgres.tls instead`),
  ...['hba_file', 'data_directory'].map((name) => parameter(name, '/x', `${PARAMETERS}.${name}: ${OWNED_PATH}`)),
  ...['archive_mode', 'recovery_target', 'restore_command'].map((name) =>
    parameter(name, 'x', `${PARAMETERS}.${name}: ${NOT_YET}`),
  ),
];

const SHARD_REFUSALS: readonly Refusal[] = [
  made(
    { shards: { external: [east] } },
    'spec.shards',
    'spec.shards: write either count (the operator makes the shards) or external (they exist already)',
  ),
  made(
    { shards: { count: null, storage: null, external: [east] } },
    'spec.shards',
    'spec.shards: a cluster cannot change between count and external; make a new cluster',
  ),
  made(
    { shards: { storage: null } },
    'spec.shards',
    "spec.shards.storage: write how large each shard's volume shall be, e.g. storage: {size: 10Gi}",
  ),
  external(
    { shards: { storage: { size: '1Gi' } } },
    'spec.shards',
    'spec.shards: external shards have no Pods here; leave out storage, resources, affinity, topologySpreadConstraints, nodeSelector, tolerations and overrides',
  ),
  made(
    { shards: { count: 2 } },
    'spec.shards',
    'spec.shards.count: a shard that has rows is never left out, as rows cannot be moved; where no shard has a table write turndown: Immediate as well (the volumes stay)',
  ),
  ...[[east], [west, east], [{ ...east, name: 'new' }, east, west]].map((list) =>
    external(
      { shards: { external: list } },
      'spec.shards',
      'spec.shards.external: the order decides which rows a shard holds; add new shards at the end; a shard that has rows is never left out, and where no shard has a table write turndown: Immediate as well',
    ),
  ),
  ...['shard-3', 'shard-03', 'east'].map((name) =>
    made(
      { shards: { overrides: [{ name }] } },
      'spec.shards',
      'spec.shards.overrides: shards are named shard-0, shard-1 and so on, below spec.shards.count; write the name of one that exists',
    ),
  ),
  made({ shards: { storage: { storageClassName: 'slow' } } }, 'spec.shards.storage', CLASS),
  made({ shards: { storage: { storageClassName: null } } }, 'spec.shards.storage', CLASS),
  made({ shards: { storage: { size: 'ten' } } }, 'spec.shards.storage.size', 'write a size such as 10Gi'),
  made({ shards: { storage: { size: '0Gi' } } }, 'spec.shards.storage.size', 'write a size such as 10Gi'),
  made(
    { shards: { storage: { size: '9Gi' } } },
    'spec.shards.storage.size',
    'a volume never shrinks; write at least 10Gi',
  ),
  made(
    { shards: { overrides: [{ name: 'shard-1', storage: { size: '19Gi' } }] } },
    'spec.shards.overrides[0].storage.size',
    'a volume never shrinks; write at least 20Gi',
  ),
  external(
    { shards: { external: [east, west, { ...east, name: 'c', tlsMode: 'VerifyFull' }] } },
    'spec.shards.external[2]',
    TLS_PAIR,
  ),
  external(
    { shards: { external: [east, west, { ...east, name: 'c', caSecretRef: { name: 'ca' } }] } },
    'spec.shards.external[2]',
    TLS_PAIR,
  ),
  external(
    { shards: { external: [east, west, { ...east, name: 'North' }] } },
    'spec.shards.external[2].name',
    'write a-z, 0-9 and - only, beginning and ending with a letter or digit',
  ),
];

const OTHER_REFUSALS: readonly Refusal[] = [
  made({ shards: { count: 5000 } }, 'spec.shards.count', 'should be less than or equal to 1024'),
  made({ shards: { count: 1024 }, sharding: { buckets: 1000 } }, 'spec', `${BUCKETS} spec.shards.count`),
  external(
    { shards: { external: [east, west, ...MANY] }, sharding: { buckets: 100 } },
    'spec',
    `${BUCKETS} there are spec.shards.external`,
  ),
  made(
    { sharding: { buckets: 8192 } },
    'spec.sharding.buckets',
    'spec.sharding.buckets cannot change: rows are placed by it; write the former number',
  ),
  made(
    { twoPhaseCommit: { maxPreparedTransactions: 119 } },
    'spec',
    'spec.twoPhaseCommit.maxPreparedTransactions: write at least spec.proxy.replicas times spec.proxy.pool.size times the number of shards (counted from 2 to 4), which is what the proxies can prepare on one shard, or leave it out and it is computed',
  ),
  external(
    { postgres: { parameters: { work_mem: '8MB' } } },
    'spec',
    'spec.postgres.parameters: the operator does not configure external shards; set parameters on those servers and leave this out',
  ),
  external(
    { postgres: { initdbArgs: ['--no-locale'] } },
    'spec',
    'spec.postgres.initdbArgs: external shards exist already; leave this out',
  ),
  external(
    { credentials: { superuserSecretRef: { name: 'a' } } },
    'spec',
    'spec.credentials.superuserSecretRef: each external shard has its own credentialsSecretRef; write it there and leave this out',
  ),
  made(
    { postgres: { database: 'other' } },
    'spec.postgres.database',
    'spec.postgres.database cannot change: it exists on every shard; make a new cluster with the new name',
  ),
  made(
    { postgres: { database: 'template1' } },
    'spec.postgres.database',
    'spec.postgres.database: write a-z, 0-9, _ and - beginning with a letter; template0, template1 and atomshard are taken',
  ),
  initdb(
    ['--locale=C'],
    'spec.postgres.initdbArgs cannot change: they were used when the shards were made; make a new cluster with the new options',
  ),
  initdb(
    ['--pgdata=/tmp'],
    'spec.postgres.initdbArgs: write --encoding=, --locale=, --locale-provider=, --lc-…=, --icu-locale=, --icu-rules=, --builtin-locale=, --text-search-config=, --wal-segsize=, --no-locale, --data-checksums or --no-data-checksums; the operator sets the others',
  ),
  made(
    { postgres: { tls: { mode: 'Disable', secretName: 'a', caSecretName: 'b' } } },
    'spec.postgres.tls',
    'spec.postgres.tls: mode Disable uses no certificate; leave out secretName or write mode: Require',
  ),
  made(
    { postgres: { tls: { secretName: 'a' } } },
    'spec.postgres.tls',
    'spec.postgres.tls: write secretName and caSecretName together, or neither and the operator makes both',
  ),
  made(
    { proxy: { tls: { mode: 'Disable', secretName: 'a' } } },
    'spec.proxy.tls',
    'spec.proxy.tls: mode Disable uses no certificate; leave out secretName or write mode: Allow or mode: Require',
  ),
  made(
    { proxy: { tls: { caSecretName: 'a' } } },
    'spec.proxy.tls',
    'spec.proxy.tls: caSecretName is the CA of the certificate in secretName; write secretName too, or neither and the operator makes both',
  ),
  made({ proxy: { wal: { storageClassName: 'slow' } } }, 'spec.proxy.wal', CLASS),
  made(
    { proxy: { wal: { segmentSize: '1Gi' } } },
    'spec.proxy.wal',
    'spec.proxy.wal.size: 2Gi does not hold four segments of 1Gi; write a larger size or a smaller segmentSize',
  ),
  made({ proxy: { wal: { size: '2GB' } } }, 'spec.proxy.wal.size', 'write a size such as 10Gi'),
  made({ proxy: { wal: { size: '1Gi' } } }, 'spec.proxy.wal.size', 'a volume never shrinks; write at least 2Gi'),
  made(
    { proxy: { wal: { segmentSize: '4Ki' } } },
    'spec.proxy.wal.segmentSize',
    'write a size of at least 64Ki, such as 64Mi',
  ),
  duration('twoPhaseCommit', 'commitWait'),
  duration('twoPhaseCommit', 'recoveryGracePeriod'),
  duration('proxy.wal', 'retention'),
  ...['queueWait', 'idleTimeout', 'lifetime', 'connectTimeout'].map((field) => duration('proxy.pool', field)),
  tables({ name: 'a', key: 'id' }, TABLE_FORM),
  tables({ name: 'a', key: 'id', type: 'uuid', reference: true }, TABLE_FORM),
  tables({ name: 'a', reference: false }, TABLE_FORM),
  tables(
    { name: 'accounts', key: 'owner', type: 'bigint' },
    'how a table is spread cannot change while it has rows; drop the table, remove its entry, then add both anew',
  ),
  made({ credentials: { users: [{ name: 'atomshard_x' }] } }, 'spec.credentials.users[0].name', ROLE),
];

/** Every rule of the CRD that a change of the spec can break. */
export const REFUSALS: readonly Refusal[] = [...PARAMETER_REFUSALS, ...SHARD_REFUSALS, ...OTHER_REFUSALS];
