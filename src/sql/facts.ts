// Everything a statement contains, wherever it stands: one walk over the whole tree that knows no scopes.
// The rule: a node kind that is not in the list of understood ones is reported by name, never skipped.
import type { FuncCall, Node, RangeVar, SelectStmt } from 'libpg-query';
import { classOfFunction, type FunctionClass } from './function-class.ts';

export interface Facts {
  /** Every relation named anywhere; who resolves scopes must account for each of them. */
  readonly relations: Set<RangeVar>;
  /** Class → the first function of that class, as written. */
  readonly functions: Map<FunctionClass, string>;
  /** Node kinds that nobody here understands. */
  readonly unknownNodes: Set<string>;
  readonly selects: Set<SelectStmt>;
  /** Parameter number → how often it occurs. */
  readonly parameters: Map<number, number>;
  readonly setConfigCalls: FuncCall[];
  readonly lockedRelations: RangeVar[];
  /** String constants, because 'now' and 'today' are clocks to a timestamp. */
  readonly strings: { readonly value: string; readonly location: number }[];
  hasLocking: boolean;
  locksEverything: boolean;
  hasSubLink: boolean;
  hasWith: boolean;
  hasWindow: boolean;
  hasDataModifyingWith: boolean;
  /** SELECT INTO. */
  hasInto: boolean;
  /** A relation of pg_temp, or CREATE TEMPORARY. */
  hasTemporary: boolean;
  systemColumn: string | undefined;
  /** A cast whose result depends on the server: regclass and its kin. */
  serverCast: string | undefined;
}

const UNDERSTOOD = new Set([
  'A_ArrayExpr',
  'A_Const',
  'A_Expr',
  'A_Indices',
  'A_Indirection',
  'A_Star',
  'Alias',
  'BitString',
  'BoolExpr',
  'Boolean',
  'BooleanTest',
  'CaseExpr',
  'CaseWhen',
  'CoalesceExpr',
  'CollateClause',
  'ColumnRef',
  'CommonTableExpr',
  'DeleteStmt',
  'Float',
  'FuncCall',
  'GroupingFunc',
  'GroupingSet',
  'IndexElem',
  'InsertStmt',
  'Integer',
  'JoinExpr',
  'List',
  'LockingClause',
  'MinMaxExpr',
  'MultiAssignRef',
  'NamedArgExpr',
  'NullTest',
  'ParamRef',
  'RangeFunction',
  'RangeSubselect',
  'RangeVar',
  'ResTarget',
  'RowExpr',
  'SQLValueFunction',
  'SelectStmt',
  'SetToDefault',
  'SortBy',
  'String',
  'SubLink',
  'TypeCast',
  'TypeName',
  'UpdateStmt',
  'WindowDef',
]);

const SYSTEM_COLUMNS = new Set(['ctid', 'xmin', 'xmax', 'cmin', 'cmax', 'tableoid']);
const SERVER_TYPES = /^(reg[a-z]+|oid|xid8?|cid|tid|pg_lsn|pg_snapshot|txid_snapshot)$/;
const CLOCK_TYPES = /^(date|time|timetz|timestamp|timestamptz)$/;
const SESSION_VALUES = /USER|ROLE|CATALOG|SCHEMA/;

/** Walks a whole statement. */
export function factsOf(root: Node): Facts {
  const facts: Facts = {
    relations: new Set(),
    functions: new Map(),
    unknownNodes: new Set(),
    selects: new Set(),
    parameters: new Map(),
    setConfigCalls: [],
    lockedRelations: [],
    strings: [],
    hasLocking: false,
    locksEverything: false,
    hasSubLink: false,
    hasWith: false,
    hasWindow: false,
    hasDataModifyingWith: false,
    hasInto: false,
    hasTemporary: false,
    systemColumn: undefined,
    serverCast: undefined,
  };
  walk(root, facts);
  for (const relation of facts.lockedRelations) facts.relations.delete(relation);
  return facts;
}

/** Most nodes are wrapped in an object that names their kind in capitals; those in fields of one type are bare. */
function walk(value: unknown, facts: Facts): void {
  if (Array.isArray(value)) {
    for (const one of value) walk(one, facts);
    return;
  }
  if (typeof value !== 'object' || value === null) return;
  if ('relpersistence' in value) noteRelation(value as RangeVar, facts);
  if ('intoClause' in value) facts.hasInto = true;
  if ('limitOption' in value) facts.selects.add(value as SelectStmt);
  for (const [name, child] of Object.entries(value)) {
    if (name === 'withClause') facts.hasWith = true;
    else if (name === 'over') facts.hasWindow = true;
    else if (/^[A-Z]/.test(name)) note(name, child, facts);
    walk(child, facts);
  }
}

function note(kind: string, child: unknown, facts: Facts): void {
  const node = child as Record<string, unknown>;
  switch (kind) {
    case 'FuncCall':
      noteFunction(child as FuncCall, facts);
      return;
    case 'ParamRef':
      count(facts.parameters, Number(node.number ?? 0));
      return;
    case 'LockingClause':
      noteLocking(node, facts);
      return;
    case 'A_Const':
      noteString(node, facts);
      return;
    case 'ColumnRef':
      noteColumn(node, facts);
      return;
    case 'TypeCast':
      noteCast(node, facts);
      return;
    case 'SQLValueFunction':
      facts.functions.set(
        SESSION_VALUES.test(String(node.op)) ? 'shard' : 'clock',
        String(node.op).slice(6).toLowerCase(),
      );
      return;
    case 'SubLink':
      facts.hasSubLink = true;
      return;
    case 'CommonTableExpr':
      if (!('SelectStmt' in (node.ctequery as object))) facts.hasDataModifyingWith = true;
      return;
    default:
      if (!UNDERSTOOD.has(kind)) facts.unknownNodes.add(kind);
  }
}

function noteRelation(relation: RangeVar, facts: Facts): void {
  facts.relations.add(relation);
  if (relation.relpersistence === 't' || relation.schemaname?.startsWith('pg_temp') === true) facts.hasTemporary = true;
}

function noteFunction(call: FuncCall, facts: Facts): void {
  const parts = (call.funcname ?? []).map((part) => ('String' in part ? (part.String.sval ?? '') : ''));
  const name = parts.at(-1) ?? '';
  const kind = classOfFunction(parts.length > 1 ? parts[0] : undefined, name);
  if (!facts.functions.has(kind)) facts.functions.set(kind, parts.join('.'));
  if (kind === 'setConfig') facts.setConfigCalls.push(call);
}

function noteLocking(node: Record<string, unknown>, facts: Facts): void {
  facts.hasLocking = true;
  const relations = (node.lockedRels ?? []) as Node[];
  if (relations.length === 0) facts.locksEverything = true;
  // Names of entries in FROM, not of tables.
  for (const one of relations) if ('RangeVar' in one) facts.lockedRelations.push(one.RangeVar);
}

function noteString(node: Record<string, unknown>, facts: Facts): void {
  const value = node.sval as { sval?: string } | undefined;
  if (value !== undefined) facts.strings.push({ value: value.sval ?? '', location: Number(node.location ?? 0) });
}

function noteColumn(node: Record<string, unknown>, facts: Facts): void {
  const last = ((node.fields ?? []) as Node[]).at(-1);
  const name = last !== undefined && 'String' in last ? last.String.sval : undefined;
  if (name !== undefined && SYSTEM_COLUMNS.has(name)) facts.systemColumn ??= name;
}

function noteCast(node: Record<string, unknown>, facts: Facts): void {
  const names = ((node.typeName as { names?: Node[] } | undefined)?.names ?? []) as Node[];
  const last = names.at(-1);
  const name = last !== undefined && 'String' in last ? (last.String.sval ?? '') : '';
  if (SERVER_TYPES.test(name)) facts.serverCast ??= name;
  const argument = node.arg as Node | undefined;
  // A literal is looked at by its value, a parameter by its bytes; a computed text could spell 'now'.
  if (CLOCK_TYPES.test(name) && argument !== undefined && !('A_Const' in argument) && !('ParamRef' in argument)) {
    if (!('ColumnRef' in argument)) facts.functions.set('clock', `a cast to ${name}`);
  }
}

function count(counts: Map<number, number>, number: number): void {
  counts.set(number, (counts.get(number) ?? 0) + 1);
}
