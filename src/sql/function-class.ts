// What a function call means for a statement that may run on more than one shard. The rule: a function that is not known
// by name to be harmless is `unknown`, and built-in ones that act (or run SQL of their own) are named here by exclusion.
import {
  AGGREGATE_FUNCTIONS,
  CATALOG_RELATIONS,
  IMMUTABLE_FUNCTIONS,
  STABLE_FUNCTIONS,
  VOLATILE_FUNCTIONS,
} from './builtin-functions.generated.ts';

/**
 * - same: equal arguments and settings give equal results on every shard.
 * - clock: reads a clock, which every shard has its own.
 * - random: a new value at each call; changes nothing.
 * - shard: read-only, but tells about the one server that it runs on.
 * - sequence: nextval, setval. · lastValue: currval, lastval, which belong to a session.
 * - advisory: transaction-level advisory locks. · advisorySession: session-level ones.
 * - setConfig: set_config().
 * - effect: acts on the server it runs on. · dynamic: runs SQL that nobody here has seen, or cannot be in two-phase commit.
 * - aggregate: combines rows. · unknown: not PostgreSQL's own.
 */
export type FunctionClass =
  | 'same'
  | 'clock'
  | 'random'
  | 'shard'
  | 'sequence'
  | 'lastValue'
  | 'advisory'
  | 'advisorySession'
  | 'setConfig'
  | 'effect'
  | 'dynamic'
  | 'aggregate'
  | 'unknown';

const words = (list: string): string[] => list.split(/\s+/).filter((word) => word !== '');

/** Stable only because they read session settings (time zone, DateStyle, text search configuration), equal on all shards. */
const STABLE_SAME = `
  array_to_json array_to_string concat concat_ws convert convert_from convert_to current_schema current_schemas
  date_add date_part date_subtract date_trunc enum_first enum_last enum_range extract format generate_series
  json_build_array json_build_object json_populate_record json_populate_recordset json_to_record json_to_recordset
  json_to_tsvector jsonb_build_array jsonb_build_object jsonb_path_exists_tz jsonb_path_match_tz
  jsonb_path_query_array_tz jsonb_path_query_first_tz jsonb_path_query_tz jsonb_populate_record
  jsonb_populate_record_valid jsonb_populate_recordset jsonb_to_record jsonb_to_recordset jsonb_to_tsvector length
  make_timestamptz money numeric overlaps pg_typeof phraseto_tsquery plainto_tsquery quote_literal quote_nullable
  row_to_json timezone to_char to_date to_json to_jsonb to_number to_timestamp to_tsquery to_tsvector ts_headline
  websearch_to_tsquery`;

/** Those named like types read 'now' and 'today'. */
const CLOCK = `
  age clock_timestamp now statement_timestamp timeofday transaction_timestamp
  date time timestamp timestamptz timetz interval`;

const RANDOM = 'array_sample array_shuffle gen_random_uuid random random_normal uuidv4 uuidv7';

/** Volatile by pg_proc, but they only look; plus pg_advisory_unlock_all, for no session lock can be held here. */
const VOLATILE_SHARD = `
  current_query pg_advisory_unlock_all pg_blocking_pids pg_collation_actual_version pg_control_checkpoint
  pg_control_init pg_control_recovery pg_control_system pg_current_logfile pg_current_wal_flush_lsn
  pg_current_wal_insert_lsn pg_current_wal_lsn pg_database_collation_actual_version pg_database_size
  pg_get_backend_memory_contexts pg_get_loaded_modules pg_get_sequence_data pg_get_shmem_allocations
  pg_get_wait_events pg_hba_file_rules pg_ident_file_mappings pg_indexes_size pg_is_in_recovery
  pg_is_wal_replay_paused pg_isolation_test_session_is_blocked pg_jit_available pg_last_committed_xact
  pg_last_wal_receive_lsn pg_last_wal_replay_lsn pg_last_xact_replay_timestamp pg_lock_status
  pg_notification_queue_usage pg_partition_ancestors pg_partition_tree pg_prepared_xact pg_relation_size
  pg_safe_snapshot_blocking_pids pg_sequence_last_value pg_show_all_file_settings pg_sleep pg_sleep_for pg_sleep_until
  pg_stat_get_backend_io pg_stat_get_backend_wal pg_stat_get_io pg_stat_get_recovery_prefetch pg_stat_have_stats
  pg_table_size pg_tablespace_size pg_total_relation_size pg_xact_commit_timestamp pg_xact_status txid_status`;

/** Run queries given as text, read whole tables by name, or cannot be part of a prepared transaction. */
const DYNAMIC = `
  cursor_to_xml cursor_to_xmlschema database_to_xml database_to_xml_and_xmlschema database_to_xmlschema
  pg_export_snapshot pg_notify query_to_xml query_to_xml_and_xmlschema query_to_xmlschema schema_to_xml
  schema_to_xml_and_xmlschema schema_to_xmlschema table_to_xml table_to_xml_and_xmlschema table_to_xmlschema
  ts_rewrite ts_stat`;

/** Stable by pg_proc, but they take a transaction id on the server that they run on. */
const STABLE_EFFECT = 'pg_current_xact_id txid_current';

const CLASSES: ReadonlyMap<string, FunctionClass> = buildClasses();

function buildClasses(): Map<string, FunctionClass> {
  const classes = new Map<string, FunctionClass>();
  const put = (list: string, value: FunctionClass) => {
    for (const word of words(list)) classes.set(word, value);
  };
  // Later lines win.
  put(IMMUTABLE_FUNCTIONS, 'same');
  put(STABLE_FUNCTIONS, 'shard');
  put(VOLATILE_FUNCTIONS, 'effect');
  put(AGGREGATE_FUNCTIONS, 'aggregate');
  put(STABLE_SAME, 'same');
  put(VOLATILE_SHARD, 'shard');
  put(CLOCK, 'clock');
  put(RANDOM, 'random');
  put(STABLE_EFFECT, 'effect');
  put(DYNAMIC, 'dynamic');
  put('nextval setval', 'sequence');
  put('currval lastval', 'lastValue');
  put('set_config', 'setConfig');
  for (const name of classes.keys()) {
    if (/^pg_(try_)?advisory_xact_lock/.test(name)) classes.set(name, 'advisory');
    else if (/^pg_(try_)?advisory_(lock|unlock)(_shared)?$/.test(name)) classes.set(name, 'advisorySession');
  }
  return classes;
}

const CATALOG = new Set(words(CATALOG_RELATIONS));

/** `name` is what the parser made of it, so already folded. A schema other than pg_catalog makes it unknown. */
export function classOfFunction(schema: string | undefined, name: string): FunctionClass {
  // Drivers read primary keys with it; its like in that schema are not used from outside.
  if (schema === 'information_schema' && name === '_pg_expandarray') return 'same';
  if (schema !== undefined && schema !== 'pg_catalog') return 'unknown';
  return CLASSES.get(name) ?? 'unknown';
}

/** An unqualified name finds pg_catalog before anything in the search path. */
export function isCatalogRelation(name: string): boolean {
  return CATALOG.has(name);
}
