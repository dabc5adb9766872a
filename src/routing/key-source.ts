// Where a statement's shard keys come from (its text, its cut-out literals, its parameters) and how they become shards.
// The rule: a key that cannot be read with certainty makes the answer "anywhere", which only widens.
import { type Hole, holeText } from '../sql/shape.ts';
import { readBinaryArray, readTextArray } from './array-value.ts';
import { NULL_KEY, type Placed, type Placement, UNREADABLE, type WireType, wireTypeOf } from './placement.ts';
import type { BoundParameters } from './plan.ts';
import type { KeyType } from './topology.ts';

/** One place a key value comes from. `readAs` is the type whose input rules its characters follow. */
export type KeySource =
  | { readonly kind: 'fixed'; readonly placed: Placed }
  | { readonly kind: 'hole'; readonly index: number; readonly negative: boolean; readonly readAs: KeyType }
  | ({ readonly kind: 'parameter' } & ParameterPlace)
  | ({ readonly kind: 'parameterArray' } & ParameterPlace)
  /** `= ANY('{…}')` in the text of the statement. */
  | { readonly kind: 'array'; readonly text: string; readonly hole: number | undefined; readonly readAs: KeyType };

export interface ParameterPlace {
  readonly index: number;
  /** The type PostgreSQL infers from this place when the client declared none. */
  readonly inferred: WireType;
  readonly readAs: KeyType;
  /** It also stands where something else may give it its type; shared, because it is known only at the end. */
  readonly ambiguous: { value: boolean };
}

/** The rows of one table that a statement touches have one of these keys. */
export interface KeySet {
  readonly sources: readonly KeySource[];
}

/** The literals of this very text, when the plan was made for its shape. */
export interface Literals {
  readonly text: string;
  readonly holes: readonly Hole[];
}

/** A set of shards that is filled, asked and cleared again: one per router, no allocation per statement. */
export class ShardSet {
  readonly #mask: Uint8Array;
  #count = 0;
  #first = 0;

  constructor(shards: number) {
    this.#mask = new Uint8Array(shards);
  }

  clear(): void {
    this.#mask.fill(0);
    this.#count = 0;
  }

  add(shard: number): void {
    if (this.#mask[shard] !== 0) return;
    this.#mask[shard] = 1;
    if (this.#count === 0) this.#first = shard;
    this.#count += 1;
  }

  get count(): number {
    return this.#count;
  }

  /** The shard that was added first; means something when count > 0. */
  get first(): number {
    return this.#first;
  }

  ascending(): number[] {
    const shards: number[] = [];
    for (const [shard, present] of this.#mask.entries()) if (present === 1) shards.push(shard);
    return shards;
  }
}

/** One source's shard, or a negative mark. Arrays have many: see `gather`. */
export function placeSource(
  source: Exclude<KeySource, { kind: 'array' | 'parameterArray' }>,
  placement: Placement,
  literals: Literals | undefined,
  parameters: BoundParameters | undefined,
): Placed {
  switch (source.kind) {
    case 'fixed':
      return source.placed;
    case 'hole': {
      const text = holeAt(literals, source.index);
      return text === undefined ? UNREADABLE : placement.ofText(source.readAs, source.negative ? `-${text}` : text);
    }
    case 'parameter': {
      const wire = wireOf(source, parameters);
      if (wire === undefined || parameters === undefined) return UNREADABLE;
      return placement.ofWire(source.readAs, wire, parameters.format(source.index), parameters.bytes(source.index));
    }
    default:
      return UNREADABLE;
  }
}

/** Adds the shards of all keys of `keys`; false when one of them cannot be read, so that every shard may hold rows. */
export function gather(
  keys: KeySet,
  into: ShardSet,
  placement: Placement,
  literals: Literals | undefined,
  parameters: BoundParameters | undefined,
): boolean {
  for (const source of keys.sources) {
    if (source.kind === 'array' || source.kind === 'parameterArray') {
      if (!gatherArray(source, into, placement, literals, parameters)) return false;
      continue;
    }
    const placed = placeSource(source, placement, literals, parameters);
    if (placed >= 0) into.add(placed);
    // Nothing equals NULL, so a NULL adds no shard.
    else if (placed !== NULL_KEY) return false;
  }
  return true;
}

function gatherArray(
  source: Extract<KeySource, { kind: 'array' | 'parameterArray' }>,
  into: ShardSet,
  placement: Placement,
  literals: Literals | undefined,
  parameters: BoundParameters | undefined,
): boolean {
  const add = (placed: Placed): boolean => {
    if (placed >= 0) into.add(placed);
    return placed >= 0 || placed === NULL_KEY;
  };
  if (source.kind === 'array') {
    const text = source.hole === undefined ? source.text : holeAt(literals, source.hole);
    if (text === undefined) return false;
    return readTextArray(text, (element) => add(placement.ofText(source.readAs, element)));
  }
  const { index } = source;
  if (parameters === undefined || index >= parameters.count) return false;
  const oid = parameters.typeOid(index);
  if (source.ambiguous.value && (oid === 0 || oid === 705)) return false;
  const wire = wireTypeOfArray(oid, source.inferred);
  const bytes = parameters.bytes(index);
  if (wire === undefined) return false;
  if (bytes === null) return true;
  if (parameters.format(index) === 1) {
    return readBinaryArray(bytes, wire, (element) => add(placement.ofWire(source.readAs, wire, 1, element)));
  }
  const readAs = readAsOf(wire, source.readAs);
  return readTextArray(bytes.toString('utf8'), (element) => add(placement.ofText(readAs, element)));
}

function holeAt(literals: Literals | undefined, index: number): string | undefined {
  const hole = literals?.holes[index];
  return literals === undefined || hole === undefined ? undefined : holeText(literals.text, hole);
}

function wireOf(source: ParameterPlace, parameters: BoundParameters | undefined): WireType | undefined {
  if (parameters === undefined || source.index >= parameters.count) return undefined;
  const oid = parameters.typeOid(source.index);
  if (source.ambiguous.value && (oid === 0 || oid === 705)) return undefined;
  return wireTypeOf(oid, source.inferred);
}

/** int2[] 1005, int4[] 1007, int8[] 1016, text[] 1009, varchar[] 1015, uuid[] 2951. */
const ARRAY_ELEMENT: Readonly<Record<number, number>> = {
  1005: 21,
  1007: 23,
  1016: 20,
  1009: 25,
  1015: 1043,
  2951: 2950,
};

function wireTypeOfArray(oid: number, inferred: WireType): WireType | undefined {
  if (oid === 0 || oid === 705) return inferred;
  const element = ARRAY_ELEMENT[oid];
  return element === undefined ? undefined : wireTypeOf(element, inferred);
}

/** The characters of an element follow the rules of the array's own element type. */
function readAsOf(wire: WireType, key: KeyType): KeyType {
  const own: Readonly<Record<WireType, KeyType>> = {
    int2: 'smallint',
    int4: 'integer',
    int8: 'bigint',
    text: 'text',
    uuid: 'uuid',
  };
  const type = own[wire];
  // A mismatch (text for an integer key) is PostgreSQL's to refuse; reading it as the key's type only widens.
  return (type === 'text') === (key === 'text' || key === 'varchar') ? type : key;
}
