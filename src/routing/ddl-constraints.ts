// Columns and constraints of tables that are made or altered on every shard. The rule: what a shard could check or fill in
// only for its own rows is refused: uniqueness and foreign keys off the shard key, defaults that differ per shard.
import type { ColumnDef, Constraint, Node, RangeVar } from 'libpg-query';
import { factsOf } from '../sql/facts.ts';
import { spellsClock } from './decision.ts';
import { keyFamily, wireTypeOfKey } from './placement.ts';
import { type Refused, refuse } from './refusal.ts';
import type { Resolved, ShardedRule } from './scopes.ts';

/** Looks a relation name up as the statement means it. */
export type Resolve = (relation: RangeVar | undefined) => Resolved | undefined;

export function uniqueRefusal(rule: ShardedRule, what: string): Refused {
  return refuse(
    `${what} on ${rule.schema}.${rule.name} must contain the shard key "${rule.key}"`,
    `Each shard checks only its own rows: add "${rule.key}" to the columns, or make it a plain index.`,
  );
}

/** CREATE_TABLE_LIKE_* of parsenodes.h. */
const LIKE_DEFAULTS = 1 << 3;
const LIKE_IDENTITY = 1 << 5;
const LIKE_INDEXES = 1 << 6;

/** A column, constraint or LIKE of a table that is made or altered. */
export function tableElement(element: Node, table: Resolved, resolve: Resolve): Refused | undefined {
  if ('ColumnDef' in element) return column(element.ColumnDef, table, resolve);
  if ('Constraint' in element) return constraint(element.Constraint, undefined, table, resolve);
  if (!('TableLikeClause' in element)) return undefined;
  const options = element.TableLikeClause.options ?? 0;
  if (table.rule?.kind === 'sharded') {
    return (options & LIKE_INDEXES) === 0
      ? undefined
      : refuse(`LIKE … INCLUDING INDEXES may bring a unique index without the shard key of ${table.id}`);
  }
  return (options & (LIKE_DEFAULTS | LIKE_IDENTITY)) === 0
    ? undefined
    : defaultRefusal(table.id, 'LIKE … INCLUDING DEFAULTS or IDENTITY');
}

const SERIAL = /^(?:small|big)?serial[248]?$/;
const DETERMINISTIC = new Set(['C', 'POSIX', 'default', 'ucs_basic', 'pg_c_utf8', 'C.UTF-8', 'en_US.utf8', 'en_US']);

function column(definition: ColumnDef, table: Resolved, resolve: Resolve): Refused | undefined {
  const name = definition.colname ?? '';
  const names = (definition.typeName?.names ?? []).map((part) => ('String' in part ? (part.String.sval ?? '') : ''));
  const type = names.at(-1) ?? '';
  const { rule } = table;
  if (rule?.kind === 'sharded' && rule.key === name) {
    const refused = keyColumnRefusal(rule, type, definition);
    if (refused !== undefined) return refused;
  }
  if (rule?.kind === 'reference' && SERIAL.test(type)) return defaultRefusal(table.id, `column ${name} (${type})`);
  for (const node of definition.constraints ?? []) {
    const refused = 'Constraint' in node ? constraint(node.Constraint, name, table, resolve) : undefined;
    if (refused !== undefined) return refused;
  }
  return undefined;
}

/** The names under which the grammar or a user may write a key's type. */
const TYPE_NAMES: Readonly<Record<string, string>> = {
  int2: 'int2',
  smallserial: 'int2',
  serial2: 'int2',
  int4: 'int4',
  serial: 'int4',
  serial4: 'int4',
  int8: 'int8',
  bigserial: 'int8',
  serial8: 'int8',
  text: 'text',
  varchar: 'text',
  uuid: 'uuid',
};

function keyColumnRefusal(rule: ShardedRule, type: string, definition: ColumnDef): Refused | undefined {
  const wire = Object.hasOwn(TYPE_NAMES, type) ? TYPE_NAMES[type] : undefined;
  const varcharAsText = type === 'varchar' && rule.type === 'text';
  if (wire !== wireTypeOfKey(rule.type) || varcharAsText) {
    return refuse(
      `the shard key "${rule.key}" of ${rule.schema}.${rule.name} is listed as ${rule.type} but created as ${type}`,
    );
  }
  const collation = (definition.collClause?.collname ?? []).at(-1);
  const name = collation !== undefined && 'String' in collation ? (collation.String.sval ?? '') : 'default';
  if (keyFamily(rule.type) !== 'text' || DETERMINISTIC.has(name)) return undefined;
  return refuse(
    `whether collation "${name}" of the shard key of ${rule.schema}.${rule.name} is deterministic is not known here`,
  );
}

function defaultRefusal(table: string, what: string): Refused {
  return refuse(
    `${table} is a reference table, the same on every shard, and ${what} would give each shard another value`,
    'Let the application give the value, or list the table as sharded.',
  );
}

function constraint(
  made: Constraint,
  columnName: string | undefined,
  table: Resolved,
  resolve: Resolve,
): Refused | undefined {
  const { rule } = table;
  switch (made.contype) {
    case 'CONSTR_PRIMARY':
    case 'CONSTR_UNIQUE': {
      if (rule?.kind !== 'sharded') return undefined;
      // USING INDEX: the index was checked when it was made.
      if (made.indexname !== undefined) return undefined;
      const columns = columnName === undefined ? namesOf(made.keys) : [columnName];
      return columns.includes(rule.key)
        ? undefined
        : uniqueRefusal(rule, made.contype === 'CONSTR_PRIMARY' ? 'a PRIMARY KEY' : 'a UNIQUE constraint');
    }
    case 'CONSTR_EXCLUSION':
      return rule?.kind === 'sharded'
        ? uniqueRefusal(rule, 'an EXCLUDE constraint (not supported here even so)')
        : undefined;
    case 'CONSTR_IDENTITY':
      return rule?.kind === 'reference' ? defaultRefusal(table.id, 'GENERATED AS IDENTITY') : undefined;
    case 'CONSTR_DEFAULT':
      return rule?.kind === 'reference' ? defaultOf(made.raw_expr, table.id) : undefined;
    case 'CONSTR_FOREIGN':
      return foreignKey(made, columnName, table, resolve(made.pktable));
    default:
      return undefined;
  }
}

/** A default for a reference table may only be the same on every shard. */
export function defaultOf(expression: Node | undefined, table: string): Refused | undefined {
  if (expression === undefined) return undefined;
  const facts = factsOf(expression);
  for (const [kind, name] of facts.functions) if (kind !== 'same') return defaultRefusal(table, `a default of ${name}`);
  // Read when the DDL runs, which is at another moment on each shard.
  const moment = facts.strings.find(({ value }) => spellsClock(value));
  return moment === undefined ? undefined : defaultRefusal(table, `a default of '${moment.value}'`);
}

/** A domain brings its default into every table that uses it, where it is not seen. */
export function domainRefusal(node: Node): Refused | undefined {
  const defaults: (Node | undefined)[] = [];
  if ('AlterDomainStmt' in node && node.AlterDomainStmt.subtype === 'T') defaults.push(node.AlterDomainStmt.def);
  if ('CreateDomainStmt' in node) {
    for (const made of node.CreateDomainStmt.constraints ?? []) {
      if ('Constraint' in made && made.Constraint.contype === 'CONSTR_DEFAULT') defaults.push(made.Constraint.raw_expr);
    }
  }
  if (defaults.every((expression) => defaultOf(expression, '') === undefined)) return undefined;
  return refuse(
    'a domain with a default that differs per shard could give a table that is on every shard another value on each',
    'Write the default at the columns of sharded tables.',
  );
}

function foreignKey(
  made: Constraint,
  columnName: string | undefined,
  table: Resolved,
  target: Resolved | undefined,
): Refused | undefined {
  if (target?.rule?.kind !== 'sharded') return undefined;
  const hint =
    'A shard can look only at its own rows: reference a table by its shard key from a table with the same key.';
  if (table.rule?.kind !== 'sharded')
    return refuse(`a foreign key from ${table.id}, which is on every shard, to the sharded ${target.id}`, hint);
  const from = columnName === undefined ? namesOf(made.fk_attrs) : [columnName];
  const to = namesOf(made.pk_attrs);
  const at = from.indexOf(table.rule.key);
  // Without a list the primary key is meant; with one column it can only be the shard key, which every primary key contains.
  const matches = at >= 0 && (to.length === 0 ? from.length === 1 : to[at] === target.rule.key);
  const alike = keyFamily(table.rule.type) === keyFamily(target.rule.type);
  return matches && alike
    ? undefined
    : refuse(`a foreign key from ${table.id} to ${target.id} must lead from shard key to shard key`, hint);
}

function namesOf(nodes: readonly Node[] | undefined): string[] {
  return (nodes ?? []).map((node) => ('String' in node ? (node.String.sval ?? '') : ''));
}
