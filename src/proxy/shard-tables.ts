// What one shard's catalog says about the sharded tables, and what all shards together make of it. Pure but for the text of
// the question. The rule: columns are known only when every shard that was seen says the same; one wrong key is enough.
import type { TableFact, TableFacts } from '../routing/table-catalog.ts';
import { type KeyType, type TableRule, tableId } from '../routing/topology.ts';

export type ShardedTable = Extract<TableRule, { kind: 'sharded' }>;

export interface SeenColumn {
  readonly name: string;
  readonly typeOid: number;
  /** As format_type() writes it, for messages. */
  readonly typeName: string;
  readonly deterministic: boolean;
}

export interface SeenTable {
  /** pg_class.relkind. */
  readonly kind: string;
  /** In attnum order, without dropped ones: what an INSERT without a column list means, generated columns included. */
  readonly columns: readonly SeenColumn[];
  /** The sharded table, `schema.name`, whose rows it shows or changes, when it is not a listed one itself. */
  readonly over?: string;
}

/** By `schema.name`; tables that do not exist there are left out, what is made over those that do is in it. */
export type ShardTables = ReadonlyMap<string, SeenTable>;

/**
 * $1 and $2: schemas and names, pairwise. Takes no lock on the tables, so it waits for nobody's DDL. Behind the tables: what
 * is made over them by views, rules, inheritance and partitioning, to any depth.
 */
export const SHARD_TABLES = `
  WITH RECURSIVE listed AS MATERIALIZED (
    SELECT c.oid, n.nspname, c.relname, c.relkind
      FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) AS wanted (schema, name)
      JOIN pg_catalog.pg_namespace AS n ON n.nspname = wanted.schema
      JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = wanted.name
  ), made (oid, over) AS (
    SELECT oid, oid FROM listed
    UNION
    SELECT next.oid, made.over
      FROM made CROSS JOIN LATERAL (
        SELECT r.ev_class
          FROM pg_catalog.pg_depend AS d JOIN pg_catalog.pg_rewrite AS r ON r.oid = d.objid
         WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = made.oid
           AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
        UNION ALL
        SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i WHERE i.inhparent = made.oid
      ) AS next (oid)
  )
  SELECT l.nspname, l.relname, l.relkind,
         (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(a.attname, a.atttypid::int8,
                   pg_catalog.format_type(a.atttypid, a.atttypmod), coalesce(k.collisdeterministic, true)) ORDER BY a.attnum)
            FROM pg_catalog.pg_attribute AS a LEFT JOIN pg_catalog.pg_collation AS k ON k.oid = a.attcollation
           WHERE a.attrelid = l.oid AND a.attnum > 0 AND NOT a.attisdropped)::text,
         NULL
    FROM listed AS l
  UNION ALL
  SELECT n.nspname, c.relname, c.relkind, NULL, min(l.nspname || '.' || l.relname)
    FROM made JOIN listed AS l ON l.oid = made.over
    JOIN pg_catalog.pg_class AS c ON c.oid = made.oid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
   WHERE made.oid NOT IN (SELECT oid FROM listed)
   GROUP BY c.oid, n.nspname, c.relname, c.relkind`;

/** The reply to SHARD_TABLES. */
export function readShardTables(rows: readonly (readonly (string | null)[])[]): ShardTables {
  const tables = new Map<string, SeenTable>();
  for (const [schema, name, kind, list, over] of rows) {
    const columns = JSON.parse(list ?? '[]') as [string, number, string, boolean][];
    tables.set(tableId(schema ?? '', name ?? ''), {
      kind: kind ?? '',
      columns: columns.map(([column, typeOid, typeName, deterministic]) => ({
        name: column,
        typeOid,
        typeName,
        deterministic,
      })),
      ...(over == null ? {} : { over }),
    });
  }
  return tables;
}

const OID = { int8: 20, int2: 21, int4: 23, text: 25, varchar: 1043, uuid: 2950 } as const;
const INTEGERS = [OID.int8, OID.int4, OID.int2];

/**
 * Column types under which keys are placed as PostgreSQL's partition hash places them. Equal integers hash alike whatever
 * their width (measured, test/integration/routing/placement), and a value that does not fit is PostgreSQL's error. A text
 * column never shortens a varchar key, but varchar(n) may cut blanks off a text key, so that is not the same the other way round.
 */
const FITTING: Readonly<Record<KeyType, readonly number[]>> = {
  bigint: INTEGERS,
  integer: INTEGERS,
  smallint: INTEGERS,
  text: [OID.text],
  varchar: [OID.varchar, OID.text],
  uuid: [OID.uuid],
};

/** Ordinary and partitioned tables, views, foreign tables and materialized views have rows with a key. */
const WITH_ROWS = new Set(['r', 'p', 'v', 'f', 'm']);

/** Why the table's rows could not be placed and found by the configured key. */
export function keyMismatch(rule: ShardedTable, seen: SeenTable): string | undefined {
  if (!WITH_ROWS.has(seen.kind)) return 'it is not a table';
  const column = seen.columns.find(({ name }) => name === rule.key);
  if (column === undefined) return `it has no column "${rule.key}"`;
  if (!FITTING[rule.type].includes(column.typeOid)) {
    return `its key "${rule.key}" is listed as ${rule.type}, but the column is ${column.typeName}`;
  }
  if (column.deterministic) return undefined;
  return `the collation of its key "${rule.key}" is not deterministic, so equal keys may be on different shards`;
}

/** What is known of each table, and of what is made over it, by what the shards (by name) showed. */
export function tableFacts(rules: readonly ShardedTable[], shards: ReadonlyMap<string, ShardTables>): TableFacts {
  const facts = new Map<string, TableFact>();
  for (const tables of shards.values())
    for (const [id, { kind, over }] of tables)
      if (over !== undefined)
        facts.set(id, { kind: 'partial', why: `${WAYS[kind] ?? 'belongs to'} the sharded table ${over}` });
  for (const rule of rules) facts.set(tableId(rule.schema, rule.name), factOfTable(rule, shards));
  return facts;
}

/** By pg_class.relkind; tables do by inheritance, as a partition, or by a rule. */
const WAYS: Readonly<Record<string, string>> = { v: 'is a view on', m: 'is a materialized view of' };

function factOfTable(rule: ShardedTable, shards: ReadonlyMap<string, ShardTables>): TableFact {
  const id = tableId(rule.schema, rule.name);
  const absent: string[] = [];
  let columns: readonly string[] | undefined;
  let shownBy = '';
  let differs: string | undefined;
  for (const [shard, tables] of shards) {
    const seen = tables.get(id);
    if (seen === undefined) {
      absent.push(shard);
      continue;
    }
    const mismatch = keyMismatch(rule, seen);
    if (mismatch !== undefined) return { kind: 'mismatch', why: `${mismatch} (${shard})` };
    const names = seen.columns.map(({ name }) => name);
    if (columns === undefined) {
      columns = names;
      shownBy = shard;
    } else if (names.length !== columns.length || names.some((name, at) => name !== columns?.[at])) {
      differs ??= `its columns are not the same on ${shownBy} and ${shard}`;
    }
  }
  if (columns === undefined) {
    const why = absent.length > 0 ? 'it does not exist yet' : 'no shard has shown its columns yet';
    return { kind: 'unknown', why, disputed: false };
  }
  if (absent[0] !== undefined) differs = `it does not exist on ${absent[0]}`;
  return differs === undefined ? { kind: 'known', columns } : { kind: 'unknown', why: differs, disputed: true };
}
