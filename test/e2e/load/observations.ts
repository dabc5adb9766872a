// What the observer wrote down, read: which transactions of a killed run were in doubt, and until when; pure.

/** A prepared branch as a shard shows it. */
export interface SeenBranch {
  readonly gid: string;
  readonly xid: string;
}

interface State {
  readonly atMs: number;
  readonly shard: string;
  readonly prepared: readonly SeenBranch[];
  readonly owners: readonly string[];
  /** Nobody answered: what was prepared before still is, for all anybody knows. */
  readonly down: boolean;
}

/** A state and how long it lasted, as far as is written down. */
interface Span extends State {
  readonly untilMs: number;
}

export interface Observations {
  readonly spans: readonly Span[];
}

/** `endMs`: when the file was read. A line that is being written is left out. */
export function readObservations(text: string, endMs: number): Observations {
  const states = text
    .split('\n')
    .slice(0, -1)
    .map((line) => {
      const seen = JSON.parse(line) as Partial<State> & { atMs: number; shard: string; down?: string };
      return { ...seen, prepared: seen.prepared ?? [], owners: seen.owners ?? [], down: seen.down !== undefined };
    });
  const next = new Map<string, number>();
  const spans: Span[] = [];
  for (const state of states.toReversed()) {
    spans.push({ ...state, untilMs: next.get(state.shard) ?? endMs });
    next.set(state.shard, state.atMs);
  }
  return { spans: spans.toReversed() };
}

/** `as1:<cluster>:<instance>.<epoch>…` of an owner's name or a gid. */
function runOf(name: string): { readonly instance: string; readonly epoch: number } | undefined {
  const match = /^as1:[^:]+:([a-z0-9-]+)\.(\d+)/.exec(name);
  return match === null ? undefined : { instance: match[1] ?? '', epoch: Number(match[2]) };
}

/** The newest run of `instance` that any shard had seen connected, or had a transaction of, before `atMs`. */
export function epochBefore({ spans }: Observations, instance: string, atMs: number): number | undefined {
  const epochs = spans
    .filter((span) => span.atMs <= atMs)
    .flatMap((span) => [...span.owners, ...span.prepared.map(({ gid }) => gid)])
    .flatMap((name) => runOf(name) ?? [])
    .filter((run) => run.instance === instance)
    .map((run) => run.epoch);
  return epochs.length === 0 ? undefined : Math.max(...epochs);
}

/**
 * When the run, told to die at `atMs`, was gone from every shard for the first time. A backend that waited for a lock may
 * come up again much later, when the lock is free; that is no life.
 */
export function diedAt({ spans }: Observations, instance: string, epoch: number, atMs: number): number {
  const lives = (span: Span) => span.owners.some((name) => name.endsWith(`:${instance}.${epoch}`));
  const gone = [...Map.groupBy(spans, ({ shard }) => shard).values()].flatMap((own) => {
    const first = own.find((span) => span.untilMs > atMs && !span.down && !lives(span));
    return first === undefined ? [] : [first.atMs];
  });
  return Math.max(atMs, ...gone);
}

export interface DoubtfulBranch extends SeenBranch {
  readonly shard: string;
}

export interface Doubt {
  /** Every branch of the run, or of an older one, that was prepared at `atMs` or came up afterwards. */
  readonly branches: readonly DoubtfulBranch[];
  /** When the last of them was seen for the last time; absent when there were none. */
  readonly resolvedAtMs: number | undefined;
}

/** What the run (`instance`, `epoch` and older) left in doubt when it died at `atMs`. */
export function doubtAfter({ spans }: Observations, instance: string, epoch: number, atMs: number): Doubt {
  const found = new Map<string, DoubtfulBranch>();
  let resolvedAtMs: number | undefined;
  for (const { shard, prepared, untilMs } of spans) {
    // What vanished in the same tenth of a second was still ended by the dying run itself.
    if (untilMs <= atMs + SAMPLE_MS) continue;
    for (const { gid, xid } of prepared) {
      const run = runOf(gid);
      if (run?.instance !== instance || run.epoch > epoch) continue;
      found.set(`${shard} ${gid}`, { shard, gid, xid });
      resolvedAtMs = Math.max(resolvedAtMs ?? 0, untilMs);
    }
  }
  return { branches: [...found.values()], resolvedAtMs };
}

/** How long before a kill a shard may have been asked for the last time. */
const SAMPLE_MS = 150;
