// DDL that runs on every shard, and what of it is refused. The rule: a constraint or default that a single server could
// not keep for the whole table (UNIQUE without the shard key, a value that differs per shard) is refused with the reason.
import type { AlterTableStmt, CreateStmt, CreateTrigStmt, Node, RangeVar } from 'libpg-query';
import { factsOf } from '../sql/facts.ts';
import { defaultOf, domainRefusal, type Resolve, tableElement, uniqueRefusal } from './ddl-constraints.ts';
import { type Refused, refuse } from './refusal.ts';
import { type Resolved, resolveRelation, type ShardedRule } from './scopes.ts';
import { type Topology, tableId } from './topology.ts';

/** Why a DDL statement may not run on all shards, if so. */
export function ddlRefusal(node: Node, topology: Topology): Refused | undefined {
  const resolve = (relation: RangeVar | undefined): Resolved | undefined =>
    relation === undefined ? undefined : resolveRelation(topology, relation, undefined);
  if ('CreateStmt' in node) return createTable(node.CreateStmt, resolve);
  if ('AlterTableStmt' in node) return alterTable(node.AlterTableStmt, resolve);
  if ('IndexStmt' in node) {
    const table = resolve(node.IndexStmt.relation);
    if (table?.rule?.kind !== 'sharded' || node.IndexStmt.unique !== true) return undefined;
    const columns = (node.IndexStmt.indexParams ?? []).flatMap((item) =>
      'IndexElem' in item ? [item.IndexElem.name ?? ''] : [],
    );
    return columns.includes(table.rule.key) ? undefined : uniqueRefusal(table.rule, 'a unique index');
  }
  if ('RenameStmt' in node) {
    const { relation, renameType, subname, newname } = node.RenameStmt;
    if (renameType === 'OBJECT_SCHEMA') return schemaRefusal(topology, [subname ?? '', newname ?? '']);
    const table = resolve(relation);
    if (
      renameType === 'OBJECT_COLUMN' &&
      table?.rule?.kind === 'sharded' &&
      [subname, newname].includes(table.rule.key)
    )
      return keyRefusal(table.rule);
    const renamed = relation === undefined ? undefined : resolve({ ...relation, relname: newname ?? '' });
    const isTable = renameType === 'OBJECT_TABLE' || renameType === 'OBJECT_VIEW' || renameType === 'OBJECT_MATVIEW';
    return isTable && (isListed(table, topology) || isListed(renamed, topology))
      ? moveRefusal(table?.id ?? '')
      : undefined;
  }
  if ('CreateTrigStmt' in node) return createTrigger(node.CreateTrigStmt, resolve);
  if ('AlterObjectSchemaStmt' in node) {
    const { relation, newschema } = node.AlterObjectSchemaStmt;
    if (relation === undefined) return undefined;
    const moved = resolve({ ...relation, schemaname: newschema ?? '' });
    return isListed(resolve(relation), topology) || isListed(moved, topology)
      ? moveRefusal(relation.relname ?? '')
      : undefined;
  }
  if (isFromQuery(node)) return derived(node, topology);
  return domainRefusal(node);
}

function isListed(table: Resolved | undefined, topology: Topology): boolean {
  return table !== undefined && topology.tables.has(table.id);
}

function moveRefusal(table: string): Refused {
  return refuse(
    `${table} is listed in sharding.tables, so its name decides where its rows are`,
    'Change the configuration first.',
  );
}

function schemaRefusal(topology: Topology, names: readonly string[]): Refused | undefined {
  const listed = [...topology.tables.values()].find((rule) => names.includes(rule.schema));
  return listed === undefined ? undefined : moveRefusal(tableId(listed.schema, listed.name));
}

function keyRefusal(rule: ShardedRule): Refused {
  return refuse(
    `"${rule.key}" is the shard key of ${rule.schema}.${rule.name}, so it cannot be renamed, dropped or given another type`,
    'Rows are placed by it; load them into a new table instead.',
  );
}

/** What a trigger does cannot be read here, and on a reference table it does it once on every shard. */
function createTrigger(create: CreateTrigStmt, resolve: Resolve): Refused | undefined {
  const table = resolve(create.relation);
  if (table?.rule?.kind !== 'reference') return undefined;
  return refuse(
    `a trigger on the reference table ${table.id} runs on every shard and may give each copy another value`,
    'List the table as sharded; or, if the trigger does the same everywhere, make it on each shard: /* atomshard: shard=… */.',
  );
}

function createTable(create: CreateStmt, resolve: Resolve): Refused | undefined {
  const table = resolve(create.relation);
  if (table === undefined) return undefined;
  if (table.kind === 'unlisted') {
    return refuse(
      `table ${table.id} is not listed in sharding.tables`,
      'List it as sharded or reference, then create it.',
    );
  }
  const parents = (create.inhRelations ?? []).map((node) => ('RangeVar' in node ? resolve(node.RangeVar) : undefined));
  for (const parent of parents) {
    if (parent?.rule?.kind === table.rule?.kind) continue;
    return refuse(
      `${table.id} and its parent ${parent?.id ?? ''} must be listed alike`,
      'List the child as sharded by the same key.',
    );
  }
  const elements = create.tableElts ?? [];
  for (const element of elements) {
    const refused = tableElement(element, table, resolve);
    if (refused !== undefined) return refused;
  }
  if (table.rule?.kind !== 'sharded') return undefined;
  const { key, type } = table.rule;
  if (elements.some((element) => 'ColumnDef' in element && element.ColumnDef.colname === key)) return undefined;
  // Columns taken over are not seen here; those of a table with the same key are compared with the configuration already.
  const models = elements.map((element) =>
    'TableLikeClause' in element ? resolve(element.TableLikeClause.relation) : undefined,
  );
  const brought = [...parents, ...models].some(
    (model) => model?.rule?.kind === 'sharded' && model.rule.key === key && model.rule.type === type,
  );
  return brought
    ? undefined
    : refuse(
        `${table.id} is listed with the shard key "${key}", which is not among its columns`,
        'Write the key column out: what LIKE, OF or INHERITS would bring is not known here.',
      );
}

function alterTable(alter: AlterTableStmt, resolve: Resolve): Refused | undefined {
  const table = resolve(alter.relation);
  if (table === undefined) return undefined;
  for (const node of alter.cmds ?? []) {
    if (!('AlterTableCmd' in node)) continue;
    const { subtype, name, def } = node.AlterTableCmd;
    const touchesKey = table.rule?.kind === 'sharded' && table.rule.key === name;
    if (
      touchesKey &&
      table.rule?.kind === 'sharded' &&
      (subtype === 'AT_DropColumn' || subtype === 'AT_AlterColumnType')
    ) {
      return keyRefusal(table.rule);
    }
    let refused: Refused | undefined;
    if (def !== undefined && ('ColumnDef' in def || 'Constraint' in def) && subtype !== 'AT_AlterColumnType') {
      refused = tableElement(def, table, resolve);
    }
    if (subtype === 'AT_ColumnDefault' && table.rule?.kind === 'reference') refused = defaultOf(def, table.id);
    if (subtype === 'AT_AttachPartition' && def !== undefined && 'PartitionCmd' in def) {
      const child = resolve(def.PartitionCmd.name);
      if (child?.rule?.kind !== table.rule?.kind)
        refused = refuse(`${child?.id ?? ''} and ${table.id} must be listed alike`);
    }
    if (refused !== undefined) return refused;
  }
  return undefined;
}

/** Makes something whose meaning or contents come from a query. */
export const isFromQuery = (node: Node): boolean =>
  'ViewStmt' in node || 'RuleStmt' in node || 'CreateTableAsStmt' in node;

/** Views, rules and tables made from queries: their text would later hide the sharded tables that they read. */
function derived(node: Node, topology: Topology): Refused | undefined {
  const facts = factsOf(node);
  for (const relation of facts.relations) {
    const table = resolveRelation(topology, relation, undefined);
    if (table.rule?.kind !== 'sharded') continue;
    return refuse(
      `a view, rule or table made from a query on the sharded ${table.id} would be read as if it were on every shard`,
      'Use the query itself; or create the object by hand on each shard and list it in sharding.tables.',
    );
  }
  if (!('CreateTableAsStmt' in node)) return undefined;
  const different = [...facts.functions.entries()].find(([kind]) => kind !== 'same' && kind !== 'aggregate');
  const limited = [...facts.selects].some(
    (select) => select.limitCount !== undefined || select.limitOffset !== undefined,
  );
  if (different === undefined && !limited) return undefined;
  return refuse(
    `a table made from ${different?.[1] ?? 'LIMIT'} could get other rows on each shard`,
    'Create the table, then insert the rows.',
  );
}
