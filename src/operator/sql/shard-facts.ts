// One look at a shard: what it is, what it holds prepared, and whether it runs with the settings that it shall have.

import { parseGid } from '../../transaction/gid.ts';
import type {
  Asked,
  ConfigurationFault,
  PreparedFacts,
  PreparedOfRun,
  SettingDifference,
  ShardFacts,
  ShardQuestion,
} from './facts.ts';
import { sameSetting } from './setting-value.ts';
import { type Rows, rowsByName, type SqlSession } from './sql-session.ts';

/**
 * pg_settings does not list settings that no code declared, such as atomshard.configuration: they are "unlisted".
 * $1: names of settings, in lower case; $2: whether config_file is ours. What that includes, such as the file that
 * initdb wrote, is nobody's wish. reset_val is what a new session gets, whatever this one has set.
 */
const LOOK = `
  SELECT current_setting('server_version_num') AS version,
         NOT pg_catalog.pg_is_in_recovery() AS "primary",
         (SELECT system_identifier::text FROM pg_catalog.pg_control_system()) AS system_identifier,
         current_setting('data_checksums') = 'on' AS data_checksums,
         current_setting('max_prepared_transactions') AS max_prepared_transactions,
         current_setting('max_connections') AS max_connections,
         (SELECT sum(numbackends)::text FROM pg_catalog.pg_stat_database WHERE datid <> 0) AS connections,
         (SELECT count(*)::text FROM pg_catalog.pg_class AS class
           WHERE relkind IN ('r', 'p', 'f') AND relpersistence <> 't'
             AND relnamespace NOT IN (SELECT oid FROM pg_catalog.pg_namespace
                                       WHERE nspname IN ('pg_catalog', 'information_schema') OR nspname LIKE 'pg\\_toast%')
             AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend
                              WHERE classid = 'pg_class'::regclass AND objid = class.oid AND deptype = 'e')) AS tables,
         (SELECT coalesce(json_agg(json_build_array(gid, (extract(epoch FROM prepared) * 1000)::int8,
                                                    database = current_database())), '[]')::text
            FROM pg_catalog.pg_prepared_xacts) AS prepared,
         (SELECT coalesce(json_agg(name ORDER BY name), '[]')::text
            FROM pg_catalog.pg_settings WHERE pending_restart) AS pending_restart,
         (SELECT coalesce(json_agg(json_build_object('name', lower(name), 'resetVal', reset_val, 'unit', unit,
                            'vartype', vartype, 'context', context, 'source', source, 'sourceFile', sourcefile,
                            'shown', current_setting(name)) ORDER BY name), '[]')::text
            FROM pg_catalog.pg_settings
           WHERE lower(name) = ANY ($1)
              OR ($2 AND source = 'configuration file' AND sourcefile = current_setting('config_file'))) AS settings,
         (SELECT coalesce(json_object_agg(wanted, current_setting(wanted, true)), '{}')::text
            FROM unnest($1::text[]) AS wanted
           WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_settings WHERE lower(name) = wanted)) AS unlisted,
         (extract(epoch FROM pg_catalog.pg_conf_load_time()) * 1000)::int8::text AS configuration_loaded_ms,
         (extract(epoch FROM pg_catalog.pg_postmaster_start_time()) * 1000)::int8::text AS started_ms,
         (extract(epoch FROM clock_timestamp()) * 1000)::int8::text AS now_ms,
         pg_catalog.has_function_privilege('pg_catalog.pg_show_all_file_settings()', 'EXECUTE')
           AND pg_catalog.has_table_privilege('pg_catalog.pg_file_settings', 'SELECT') AS sees_files`;

/**
 * For shards that the operator makes, as their superuser: nobody else may look at files. Times of files have whole
 * seconds, so that one reload too many is asked for rather than one too few.
 */
const LOOK_AT_MADE = `${LOOK},
         current_setting('ssl') = 'on' AND coalesce((
           SELECT modification >= date_trunc('second', pg_catalog.pg_conf_load_time())
             FROM pg_catalog.pg_stat_file(current_setting('ssl_cert_file'), true)), false) AS certificate_behind`;

/**
 * The files as they are on the disk now; the last line of a name counts. "Could not be applied" is said of a value that is
 * wrong and of one that waits for a restart; to read the files marks the latter as pending (measured on 15 and 18).
 */
const FILES = `
  SELECT lower(name), setting, error, sourcefile = current_setting('config_file'),
         (SELECT pending_restart FROM pg_catalog.pg_settings AS known WHERE lower(known.name) = lower(file.name))
    FROM pg_catalog.pg_file_settings AS file ORDER BY seqno`;

interface SettingRow {
  readonly name: string;
  readonly resetVal: string | null;
  readonly unit: string | null;
  readonly vartype: string;
  readonly context: string;
  readonly source: string;
  readonly sourceFile: string | null;
  readonly shown: string;
}

/** Looks once. Reads only, takes no lock that anybody waits for, and answers on a standby as well. */
export async function lookAtShard(session: SqlSession, question: ShardQuestion): Promise<Asked<ShardFacts>> {
  const names = Object.keys(question.parameters ?? {});
  const asked = await session.run(question.parameters === null ? LOOK : LOOK_AT_MADE, [
    names,
    question.parameters !== null,
  ]);
  if (asked.kind === 'failed') return asked;
  const row = rowsByName(asked.value)[0] ?? new Map<string, string | null>();
  const text = (column: string) => row.get(column) ?? '';
  const settings = JSON.parse(text('settings')) as SettingRow[];
  const unlisted = JSON.parse(text('unlisted')) as Readonly<Record<string, string | null>>;
  const differences = question.parameters === null ? [] : differencesOf(question.parameters, settings, unlisted);
  const prepared = JSON.parse(text('prepared')) as [string, number, boolean][];
  const facts: Omit<ShardFacts, 'fileBehind' | 'configurationFaults'> = {
    version: Number(text('version')),
    primary: text('primary') === 't',
    systemIdentifier: text('system_identifier'),
    dataChecksums: text('data_checksums') === 't',
    maxPreparedTransactions: Number(text('max_prepared_transactions')),
    maxConnections: Number(text('max_connections')),
    connections: Number(text('connections')),
    prepared: preparedFacts(question.clusterId, prepared),
    tables: Number(text('tables')),
    pendingRestart:
      question.parameters === null ? (JSON.parse(text('pending_restart')) as string[]) : waitingForRestart(differences),
    differences,
    ...(question.parameters === null ? {} : { certificateBehind: text('certificate_behind') === 't' }),
    configurationLoadedMs: Number(text('configuration_loaded_ms')),
    startedMs: Number(text('started_ms')),
    nowMs: Number(text('now_ms')),
  };
  // Without a difference there is nothing that the files could explain.
  if (differences.length === 0) return answer({ ...facts, fileBehind: false, configurationFaults: [] });
  if (text('sees_files') !== 't') return answer({ ...facts, fileBehind: null, configurationFaults: null });
  const files = await session.run(FILES);
  if (files.kind === 'failed') return files;
  return answer({ ...facts, ...filesSeen(question.parameters ?? {}, files.value.rows) });
}

/**
 * Not pg_settings.pending_restart: PostgreSQL keeps that flag when the line that set it is taken out of the file again
 * (measured on 18), and a shard would be restarted for nothing.
 */
function waitingForRestart(differences: readonly SettingDifference[]): string[] {
  return differences.filter((one) => one.needsRestart && one.overriddenBy === null).map(({ name }) => name);
}

const answer = (value: ShardFacts): Asked<ShardFacts> => ({ kind: 'answer', value });

/** What the running server has otherwise than desired, by name. */
export function differencesOf(
  desired: Readonly<Record<string, string>>,
  settings: readonly SettingRow[],
  unlisted: Readonly<Record<string, string | null>> = {},
): SettingDifference[] {
  const found = new Map(settings.map((row) => [row.name, row]));
  const differences: SettingDifference[] = [];
  for (const [name, value] of Object.entries(desired)) {
    const row = found.get(name);
    if (row === undefined) {
      const actual = unlisted[name] ?? null;
      if (actual !== value) differences.push({ name, desired: value, actual, needsRestart: false, overriddenBy: null });
    } else if (!sameSetting(value, row.resetVal ?? '', row)) {
      differences.push(differenceOf(row, value, overriderOf(row)));
    }
  }
  for (const row of settings) {
    if (!(row.name in desired) && overriderOf(row) === null) differences.push(differenceOf(row, null, null));
  }
  return differences.toSorted((one, other) => (one.name < other.name ? -1 : 1));
}

function differenceOf(row: SettingRow, desired: string | null, overriddenBy: string | null): SettingDifference {
  return { name: row.name, desired, actual: row.shown, needsRestart: row.context === 'postmaster', overriddenBy };
}

/** What else than postgresql.conf decides the value; null when nothing does. */
function overriderOf({ source, sourceFile }: SettingRow): string | null {
  if (source === 'configuration file') {
    return sourceFile?.endsWith('/postgresql.auto.conf') === true ? 'ALTER SYSTEM' : null;
  }
  return source === 'default' ? null : source;
}

const NOT_APPLIED = 'setting could not be applied';

function filesSeen(desired: Readonly<Record<string, string>>, rows: Rows) {
  const written = new Map<string, string>();
  const configurationFaults: ConfigurationFault[] = [];
  for (const [name, setting, error, ours, pending] of rows) {
    if (name != null && setting != null && ours === 't') written.set(name, setting);
    if (error == null || (error === NOT_APPLIED && pending === 't')) continue;
    const message = error === NOT_APPLIED ? `the server does not take the value "${setting}"` : error;
    configurationFaults.push({ name: name ?? null, message });
  }
  const names = Object.entries(desired);
  const fileBehind = written.size !== names.length || names.some(([name, value]) => written.get(name) !== value);
  return { fileBehind, configurationFaults };
}

/** Counts what is prepared; ours are those that bear our cluster's id and stand in the shard's database. */
export function preparedFacts(
  clusterId: string,
  rows: readonly (readonly [gid: string, preparedAtMs: number, here: boolean])[],
): PreparedFacts {
  const runs = new Map<string, PreparedOfRun>();
  let ours = 0;
  let oldestMs: number | null = null;
  let oldestForeignMs: number | null = null;
  for (const [gid, preparedAtMs, here] of rows) {
    oldestMs = earlier(oldestMs, preparedAtMs);
    const transaction = here ? parseGid(gid)?.transaction : undefined;
    if (transaction?.cluster !== clusterId) {
      oldestForeignMs = earlier(oldestForeignMs, preparedAtMs);
      continue;
    }
    ours += 1;
    const { instance, epoch } = transaction;
    const key = `${instance}.${epoch}`;
    const before = runs.get(key) ?? { instance, epoch, count: 0, oldestMs: preparedAtMs };
    const oldest = Math.min(before.oldestMs, preparedAtMs);
    runs.set(key, { ...before, count: before.count + 1, oldestMs: oldest });
  }
  const inOrder = [...runs.values()].toSorted(
    (one, other) => one.instance.localeCompare(other.instance) || one.epoch - other.epoch,
  );
  return { count: rows.length, ours, runs: inOrder, foreign: rows.length - ours, oldestMs, oldestForeignMs };
}

const earlier = (one: number | null, other: number) => (one === null ? other : Math.min(one, other));
