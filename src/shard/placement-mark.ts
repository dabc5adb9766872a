// What a shard itself says about the rows on it: which shard of which list it is. The list decides where a key's row is, so the
// record stands beside the rows. The rule: clients' statements only run on a server whose record is exactly the one expected.
//
//   COMMENT ON SCHEMA atomshard_placement IS '{"format":1,"shard":"shard-1","shards":["shard-0","shard-1"],"buckets":4096}'
//
// A comment, because every role may read it from the catalog without a right, it changes in a transaction, and dumps carry it.

/** Everything but the key that decides on which shard a row is. */
export interface Placement {
  /** Logical names; their order counts. */
  readonly shards: readonly string[];
  readonly buckets: number;
}

export type Mark =
  | ({ readonly kind: 'placed'; readonly shard: string } & Placement)
  /** Another placement is on its way: nobody may use the shard; rows that are there all the same are of `from`. */
  | { readonly kind: 'moving'; readonly from: string }
  | { readonly kind: 'unreadable' };

export const MARK_SCHEMA = 'atomshard_placement';

/** An SQL expression: the record's text, NULL without one. Needs no right. */
export const MARK_EXPRESSION = `(SELECT pg_catalog.obj_description(oid, 'pg_namespace')
    FROM pg_catalog.pg_namespace WHERE nspname = '${MARK_SCHEMA}')`;

/** The record of `shard`, compared byte by byte. */
export function renderMark({ shards, buckets }: Placement, shard: string): string {
  return JSON.stringify({ format: 1, shard, shards, buckets });
}

/** `from`: the record that stood there. */
export function renderMoving(from: string): string {
  return JSON.stringify({ format: 1, moving: true, from });
}

export function parseMark(text: string): Mark {
  const content = parseJson(text);
  if (typeof content !== 'object' || content === null) return { kind: 'unreadable' };
  const { format, from, shard, shards, buckets } = content as Readonly<Record<string, unknown>>;
  if (format !== 1) return { kind: 'unreadable' };
  if (typeof from === 'string') return { kind: 'moving', from };
  const known = Array.isArray(shards) && shards.every((name) => typeof name === 'string');
  if (typeof shard !== 'string' || typeof buckets !== 'number' || !known) return { kind: 'unreadable' };
  return { kind: 'placed', shard, shards, buckets };
}

/** For people: `shard-0, shard-1 (4096 buckets)`. */
export function describePlacement({ shards, buckets }: Placement): string {
  return `${shards.join(', ')} (${buckets} buckets)`;
}

/** Why a server with the record `found` is not the one that carries `expected`; both as rendered, null: none. */
export function describeMismatch(expected: string, found: string | null): string {
  const wanted = parseMark(expected);
  if (found === null) return 'it is not recorded yet over which shards its rows are spread';
  const mark = parseMark(found);
  if (mark.kind === 'unreadable' || wanted.kind !== 'placed') {
    return `the comment on schema ${MARK_SCHEMA} there is not what this version writes`;
  }
  if (mark.kind === 'moving') return 'another list of shards is being put in force there';
  const same = describePlacement(mark) === describePlacement(wanted);
  if (same) return `this server is ${mark.shard}, not ${wanted.shard}`;
  return `its rows are spread over ${describePlacement(mark)}, not over ${describePlacement(wanted)}`;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
