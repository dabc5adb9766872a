// postgresql.conf of one shard: what the spec says, what the operator owns, and defaults that fit the proxies' pools.
//
// The running server is the one truth about what is in force: it shows the hash of the file that it loaded as the setting
// atomshard.configuration, and in pg_settings.pending_restart what a reload could not change.
import { createHash } from 'node:crypto';
import { parseSize } from '../../kernel/quantity.ts';
import type { Resources } from '../api/sharded-cluster.generated.ts';
import { maxConnections, maxPreparedTransactions } from './capacity.ts';
import type { DesiredInput } from './desired-input.ts';
import { POSTGRES_PORT, SHARD_PATHS, shardName } from './names.ts';

/** A setting of no meaning to PostgreSQL, by which a server shows which file it has loaded. */
export const CONFIGURATION_SETTING = 'atomshard.configuration';

const SHARED_BUFFERS_SHARE = 0.25;
/** PostgreSQL's own default; less is only for small pods. */
const SHARED_BUFFERS_MIN_BYTES = 16 * 2 ** 20;

/** What the spec may not change; the CRD refuses these names with the reason. */
function owned(input: DesiredInput, index: number): Record<string, string> {
  const { spec } = input.cluster;
  const floor = input.preparedFloor.get(shardName(index)) ?? 0;
  const tls = spec.postgres.tls.mode === 'Require';
  return {
    listen_addresses: '*',
    port: String(POSTGRES_PORT),
    unix_socket_directories: SHARD_PATHS.sockets,
    hba_file: `${SHARD_PATHS.configuration}/pg_hba.conf`,
    ident_file: `${SHARD_PATHS.configuration}/pg_ident.conf`,
    max_prepared_transactions: String(Math.max(maxPreparedTransactions(spec), floor)),
    wal_level: 'replica',
    fsync: 'on',
    full_page_writes: 'on',
    ssl: tls ? 'on' : 'off',
    ...(tls
      ? {
          ssl_cert_file: `${SHARD_PATHS.tls}/tls.crt`,
          ssl_key_file: `${SHARD_PATHS.tls}/tls.key`,
          ssl_min_protocol_version: 'TLSv1.2',
        }
      : {}),
  };
}

/** What the spec may change. */
function defaults(input: DesiredInput, index: number): Record<string, string> {
  const { metadata, spec } = input.cluster;
  const override = spec.shards.overrides?.find(({ name }) => name === shardName(index));
  return {
    max_connections: String(maxConnections(spec)),
    shared_buffers: sharedBuffers(override?.resources ?? spec.shards.resources),
    synchronous_commit: 'on',
    password_encryption: 'scram-sha-256',
    cluster_name: `${metadata.name}/${shardName(index)}`,
    timezone: 'UTC',
    log_timezone: 'UTC',
    log_line_prefix: '%m [%p] %q%u@%d %a ',
    // To standard error, where the node collects it: a file in the pod would fill the volume.
    log_destination: 'stderr',
    logging_collector: 'off',
  };
}

/** A quarter of the memory that the pod may use; PostgreSQL's default where there is no limit. */
function sharedBuffers(resources: Resources | undefined): string {
  const limit = parseSize(String(resources?.limits?.memory ?? ''));
  if (limit === undefined) return '128MB';
  return `${Math.floor(Math.max(limit * SHARED_BUFFERS_SHARE, SHARED_BUFFERS_MIN_BYTES) / 2 ** 20)}MB`;
}

/**
 * Every setting of shard `index` by name, as it is written in the file but without quotes, sorted; the last look is compared
 * with these. {@link CONFIGURATION_SETTING} is the hash of all the others.
 */
export function shardParameters(input: DesiredInput, index: number): Readonly<Record<string, string>> {
  const { parameters } = input.cluster.spec.postgres;
  const given = Object.entries(parameters).map(([name, value]) => [name, String(value)] as const);
  const all = { ...defaults(input, index), ...Object.fromEntries(given), ...owned(input, index) };
  const sorted = Object.fromEntries(Object.entries(all).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  const hash = createHash('sha256').update(JSON.stringify(sorted)).digest('hex').slice(0, 16);
  return { ...sorted, [CONFIGURATION_SETTING]: hash };
}

/** The file's text: what initdb found out about locale and text search, then a line per setting. */
export function renderParameters(parameters: Readonly<Record<string, string>>): string {
  const lines = Object.entries(parameters).map(([name, value]) => `${name} = ${quoted(value)}\n`);
  return `# Written by the operator: change spec.postgres.parameters instead.
include_if_exists ${quoted(`${SHARD_PATHS.data}/postgresql.conf`)}
${lines.join('')}`;
}

/** As PostgreSQL reads it back: a quote is doubled, a backslash begins an escape, and a value ends with its line. */
function quoted(value: string): string {
  const escaped = value
    .replaceAll('\\', String.raw`\\`)
    .replaceAll('\n', String.raw`\n`)
    .replaceAll('\r', String.raw`\r`)
    .replaceAll("'", "''");
  return `'${escaped}'`;
}
