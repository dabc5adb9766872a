// Whether rows would be found with this list of shards, from what the shards themselves say. Pure.
// The rule: a record is only replaced where no row was placed by it; what cannot be asked counts as a row.
//
//   no record ──▶ recorded            the same ──▶ nothing to do
//   another one, rows ──▶ refused     another one, no row anywhere ──▶ moved     a shard is silent ──▶ waiting
import { describeMismatch, describePlacement, type Placement, parseMark, renderMark } from '../shard/placement-mark.ts';
import type { ProxyConfig } from './config.ts';

/** One shard's answer. */
export type ShardSeen =
  | { readonly shard: string; readonly kind: 'silent'; readonly why: string }
  | ({ readonly shard: string; readonly kind: 'seen' } & ShardContent);

export interface ShardContent {
  /** As it stands there; null: none. */
  readonly mark: string | null;
  /** A table with rows, e.g. `public.accounts`; null: none has any. */
  readonly filled: string | null;
  /** Any table; null: there is none. */
  readonly table: string | null;
  /** Transactions that are prepared in this database: rows of theirs may still come. */
  readonly prepared: number;
}

export type PlacementDecision =
  /** `silent`: shards that did not answer and are to be asked again. */
  | { readonly kind: 'settled'; readonly silent: readonly string[] }
  /** Records are missing. `unproven`: those of them that have rows, of which nobody knows how they were placed. */
  | { readonly kind: 'record'; readonly shards: readonly string[]; readonly unproven: readonly string[] }
  /** All shards are empty, so that another record may replace those there. `tables`: none of them may even have a table. */
  | { readonly kind: 'move'; readonly why: string; readonly tables: 'allowed' | 'none' }
  /** Nothing is wrong for good: ask again. */
  | { readonly kind: 'waiting'; readonly problems: readonly string[] }
  | { readonly kind: 'refused'; readonly problems: readonly string[] };

type Seen = Extract<ShardSeen, { kind: 'seen' }>;

export function placementOf({ shards, sharding }: Pick<ProxyConfig, 'shards' | 'sharding'>): Placement {
  return { shards: shards.map(({ name }) => name), buckets: sharding.buckets };
}

/** `all`: every shard of `wanted`, once. */
export function decidePlacement(wanted: Placement, all: readonly ShardSeen[]): PlacementDecision {
  const seen = all.filter((each) => each.kind === 'seen');
  const silent = all.filter((each) => each.kind === 'silent');
  const misplaced = seen.flatMap((each) => {
    const mark = markInForce(each);
    return mark === null || mark === renderMark(wanted, each.shard) ? [] : [{ ...each, mark }];
  });
  if (misplaced.length > 0) return decideMove(wanted, seen, silent, misplaced);
  const missing = seen.filter(({ shard, mark }) => mark !== renderMark(wanted, shard));
  // One record that says the same proves that this list is in force; without any, a silent shard may say another one, or
  // have none yet, and then its first clients would be refused.
  const proven = seen.length > missing.length;
  if (missing.length === 0 && (proven || silent.length === 0)) {
    return { kind: 'settled', silent: silent.map(({ shard }) => shard) };
  }
  if (silent.length > 0 && !proven) {
    const silence = silent.map(notAnswering).join(', ');
    return { kind: 'waiting', problems: [`shards: before their list is recorded all must answer: ${silence}`] };
  }
  const unproven = missing.filter(({ mark, filled }) => mark === null && filled !== null);
  return { kind: 'record', shards: missing.map(({ shard }) => shard), unproven: unproven.map(({ shard }) => shard) };
}

/** A move that was broken off leaves a shard without a record where it is empty, and with the former one where it is not. */
export function markInForce({ mark, filled, prepared }: ShardContent): string | null {
  const parsed = mark === null ? undefined : parseMark(mark);
  if (parsed?.kind !== 'moving') return mark;
  return filled !== null || prepared > 0 ? parsed.from : null;
}

function decideMove(
  wanted: Placement,
  seen: readonly Seen[],
  silent: readonly Extract<ShardSeen, { kind: 'silent' }>[],
  misplaced: readonly (Seen & { readonly mark: string })[],
): PlacementDecision {
  const marks = misplaced.map(({ shard, mark }) => ({ shard, mark, parsed: parseMark(mark) }));
  const unreadable = marks.filter(({ parsed }) => parsed.kind !== 'placed');
  if (unreadable.length > 0) {
    return { kind: 'refused', problems: unreadable.map((each) => mismatch(wanted, each.shard, each.mark)) };
  }
  const former = marks.flatMap(({ parsed }) => (parsed.kind === 'placed' ? parsed.shards : []));
  const leaving = former.filter((name) => !wanted.shards.includes(name));
  const obstacles = seen.flatMap(({ shard, filled, table }) => {
    if (filled !== null) return [`${filled} has rows on ${shard}`];
    // A shard that is left out cannot be asked; as every table is on every shard, it is empty when the others have none.
    return leaving.length > 0 && table !== null
      ? [`${table} is on ${shard}, so that ${leaving[0]}, which is left out, may have rows of it`]
      : [];
  });
  const [first] = marks;
  const why = first === undefined ? '' : mismatch(wanted, first.shard, first.mark);
  if (obstacles.length > 0) return { kind: 'refused', problems: [`${why}: ${obstacles[0]}; ${WAY_OUT}`] };
  const pending = [
    ...silent.map(notAnswering),
    ...seen.filter(({ prepared }) => prepared > 0).map(({ shard }) => `transactions are prepared on ${shard}`),
  ];
  if (pending.length > 0) {
    return {
      kind: 'waiting',
      problems: [`${why}; it can only change when all shards are empty: ${pending.join(', ')}`],
    };
  }
  return { kind: 'move', why, tables: leaving.length > 0 ? 'none' : 'allowed' };
}

/** After everybody else was shut out: still nothing there that a move would lose. */
export function isEmptyEnough(tables: 'allowed' | 'none', all: readonly ShardSeen[]): boolean {
  return all.every(
    (each) =>
      each.kind === 'seen' &&
      each.filled === null &&
      each.prepared === 0 &&
      (tables === 'allowed' || each.table === null),
  );
}

const notAnswering = ({ shard, why }: { readonly shard: string; readonly why: string }) =>
  `${shard} does not answer (${why})`;

const WAY_OUT = 'rows are not moved: write the shards and buckets as they were, or copy the rows to other servers';

function mismatch(wanted: Placement, shard: string, mark: string): string {
  const asked = `shards: ${describePlacement(wanted)} is asked for`;
  return `${asked}, but of ${shard}: ${describeMismatch(renderMark(wanted, shard), mark)}`;
}
