// From an expression of the parse tree to where its key value comes from. The rule: only plain literals, parameters and
// casts of them between types that keep the value are a key; every other expression is undefined, which means "not known".
import type { A_Const, Node, TypeName } from 'libpg-query';
import type { KeySet, KeySource, ParameterPlace } from './key-source.ts';
import { isIntegerKey, keyFamily, type Placement, type WireType, wireTypeOfKey } from './placement.ts';
import type { TableFacts } from './table-catalog.ts';
import type { KeyType } from './topology.ts';

/** What reading keys of one statement needs and leaves behind. */
export interface KeyReading {
  readonly placement: Placement;
  /** What the shards say about the tables, for INSERTs that name no columns. */
  readonly tables: TableFacts;
  /** When a plan is made for a shape: which cut-out literal stands at this byte of the text. */
  readonly holeAt:
    | ((location: number) => { readonly index: number; readonly negative: boolean } | undefined)
    | undefined;
  /** A constant was read whose value the shape does not keep: the plan is for this text only. */
  pinned: boolean;
  readonly places: ParameterPlace[];
}

const CAST_TYPES: Readonly<Record<string, KeyType>> = {
  int2: 'smallint',
  int4: 'integer',
  int8: 'bigint',
  text: 'text',
  varchar: 'text',
  uuid: 'uuid',
};

/** `purpose` store: the value becomes a row's key. seek: rows with this key are looked for. */
export function keyOf(
  node: Node,
  type: KeyType,
  purpose: 'seek' | 'store',
  reading: KeyReading,
): KeySource | undefined {
  const target: KeyType = purpose === 'seek' && type === 'varchar' ? 'text' : type;
  if (!('TypeCast' in node)) return plainKey(node, target, undefined, reading);
  const { arg, typeName } = node.TypeCast;
  const cast = castType(typeName);
  if (arg === undefined || cast === undefined || keyFamily(cast) !== keyFamily(type)) return undefined;
  // A varchar key cuts trailing blanks when it is stored, whatever the literal was cast to.
  return plainKey(arg, target === 'varchar' ? 'varchar' : cast, cast, reading);
}

function plainKey(node: Node, type: KeyType, cast: KeyType | undefined, reading: KeyReading): KeySource | undefined {
  if ('ParamRef' in node) {
    const number = node.ParamRef.number ?? 0;
    if (number < 1) return undefined;
    const place = parameterPlace(number - 1, type, wireTypeOfKey(cast ?? type), reading);
    return { kind: 'parameter', ...place };
  }
  if (!('A_Const' in node)) return undefined;
  const constant = node.A_Const;
  if (constant.isnull === true) return undefined;
  if (constant.sval !== undefined) return literal(constant, constant.sval.sval ?? '', type, reading);
  if (!isIntegerKey(type)) return undefined;
  // A bare number has a type of its own; only a cast narrows it.
  const readAs = cast ?? 'bigint';
  if (constant.ival !== undefined) return literal(constant, String(constant.ival.ival ?? 0), readAs, reading);
  const wide = constant.fval?.fval;
  return wide !== undefined && /^-?\d+$/.test(wide) ? literal(constant, wide, readAs, reading) : undefined;
}

/** Object identity matters: the place is marked ambiguous later, when the whole statement is known. */
function parameterPlace(index: number, readAs: KeyType, inferred: WireType, reading: KeyReading): ParameterPlace {
  const place: ParameterPlace = { index, inferred, readAs, ambiguous: { value: false } };
  reading.places.push(place);
  return place;
}

function literal(constant: A_Const, text: string, readAs: KeyType, reading: KeyReading): KeySource {
  const fixed: KeySource = { kind: 'fixed', placed: reading.placement.ofText(readAs, text) };
  if (reading.holeAt === undefined) return fixed;
  const hole = reading.holeAt(constant.location ?? 0);
  if (hole === undefined) {
    reading.pinned = true;
    return fixed;
  }
  return { kind: 'hole', index: hole.index, negative: hole.negative, readAs };
}

/** The right side of `key IN (…)`: all must be keys. */
export function keysOfList(nodes: readonly Node[], type: KeyType, reading: KeyReading): KeySet | undefined {
  const sources: KeySource[] = [];
  for (const node of nodes) {
    if ('A_Const' in node && node.A_Const.isnull === true) continue;
    const source = keyOf(node, type, 'seek', reading);
    if (source === undefined) return undefined;
    sources.push(source);
  }
  return { sources };
}

/** The right side of `key = ANY (…)`: an array literal, a parameter, ARRAY[…], or a cast of one to an array of the key's family. */
export function keysOfArray(node: Node, type: KeyType, reading: KeyReading): KeySet | undefined {
  let inner = node;
  let element: KeyType = type === 'varchar' ? 'text' : type;
  if ('TypeCast' in node) {
    const { arg, typeName } = node.TypeCast;
    if (arg === undefined || typeName?.arrayBounds?.length !== 1) return undefined;
    const cast = castType({ ...typeName, arrayBounds: [] });
    if (cast === undefined || keyFamily(cast) !== keyFamily(type)) return undefined;
    inner = arg;
    element = cast;
  }
  if ('A_ArrayExpr' in inner) return keysOfList(inner.A_ArrayExpr.elements ?? [], element, reading);
  if ('ParamRef' in inner) {
    const number = inner.ParamRef.number ?? 0;
    if (number < 1) return undefined;
    const place = parameterPlace(number - 1, element, wireTypeOfKey(element), reading);
    return { sources: [{ kind: 'parameterArray', ...place }] };
  }
  if (!('A_Const' in inner) || inner.A_Const.sval === undefined) return undefined;
  const text = inner.A_Const.sval.sval ?? '';
  const hole = reading.holeAt?.(inner.A_Const.location ?? 0);
  if (reading.holeAt !== undefined && hole === undefined) reading.pinned = true;
  return { sources: [{ kind: 'array', text, hole: hole?.index, readAs: element }] };
}

/** A cast to one of the key types that keeps every value it accepts: no array, no length. */
function castType(typeName: TypeName | undefined): KeyType | undefined {
  if (typeName === undefined || (typeName.typmods ?? []).length > 0 || (typeName.arrayBounds ?? []).length > 0) {
    return undefined;
  }
  const names = (typeName.names ?? []).map((name) => ('String' in name ? (name.String.sval ?? '') : ''));
  if (names.length > 2 || (names.length === 2 && names[0] !== 'pg_catalog')) return undefined;
  const name = names.at(-1) ?? '';
  return Object.hasOwn(CAST_TYPES, name) ? CAST_TYPES[name] : undefined;
}
