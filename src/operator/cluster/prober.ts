// Asks shards and proxies how they are, beside the workers: one loop per server, so that a dead one delays nobody.
// The rule: a look never blocks a reconcile; a worker reads the last look and is woken when it says something new.
import type { Clock } from '../../kernel/clock.ts';
import type { Asked, ProxyFacts, ShardFacts, ShardQuestion, SqlTarget } from '../sql/facts.ts';
import type { Look } from './observation.ts';

/** Asks one server; keeps its connection between looks. */
export interface Eye<T> {
  readonly look: () => Promise<Asked<T>>;
  readonly close: () => void;
}

export interface ProberOptions {
  readonly clock: Clock;
  readonly openShard: (target: SqlTarget, question: ShardQuestion) => Eye<ShardFacts>;
  readonly openProxy: (target: SqlTarget) => Eye<ProxyFacts>;
  /** Told the cluster's key when a look says something else than the one before. */
  readonly onChange: (clusterKey: string) => void;
  /** Between looks at a server that is well; default 5 s. */
  readonly calmIntervalMs?: number;
  /** Between looks at one that is not; default 1 s. */
  readonly hurryIntervalMs?: number;
}

export interface ProxyAim {
  readonly target: SqlTarget;
  /** Which pod it is: what another one said is not this one's word. */
  readonly incarnation: string;
}

export interface ShardAim extends ProxyAim {
  readonly question: ShardQuestion;
}

/** Whom to ask; what is left out is no longer asked. */
export interface Aims {
  readonly shards: readonly ShardAim[];
  readonly proxies: readonly ProxyAim[];
}

export interface Looks {
  readonly shards: ReadonlyMap<string, Look<ShardFacts>>;
  readonly proxies: ReadonlyMap<string, Look<ProxyFacts>>;
}

const CALM_MS = 5_000;
const HURRY_MS = 1_000;
/** A server that has not answered for this long is asked at the calm pace. */
const HURRY_AT_MOST_MS = 120_000;

/** Values that change all the time and that nobody decides by. */
const VOLATILE = new Set([
  'nowMs',
  'connections',
  'clients',
  'running',
  'walFreeBytes',
  'walBytes',
  'walSegments',
  'positions',
]);

/** One server that is asked again and again. */
interface Watch<T> {
  readonly eye: Eye<T>;
  readonly aim: string;
  readonly incarnation: string;
  readonly stop: AbortController;
  look: Look<T>;
  wake: AbortController;
  firstFailureMs: number | undefined;
}

interface ClusterWatches {
  readonly shards: Map<string, Watch<ShardFacts>>;
  readonly proxies: Map<string, Watch<ProxyFacts>>;
}

export class Prober {
  readonly #options: ProberOptions;
  readonly #clusters = new Map<string, ClusterWatches>();

  constructor(options: ProberOptions) {
    this.#options = options;
  }

  /** Asks these from now on; a server whose address, credentials or question changed is asked at once. */
  aim(clusterKey: string, { shards, proxies }: Aims): void {
    const watches = this.#clusters.get(clusterKey) ?? { shards: new Map(), proxies: new Map() };
    this.#clusters.set(clusterKey, watches);
    const { openShard, openProxy } = this.#options;
    this.#follow(
      clusterKey,
      watches.shards,
      shards.map(({ target, question, incarnation }) => ({
        name: target.name,
        aim: JSON.stringify([target, question, incarnation]),
        incarnation,
        open: () => openShard(target, question),
      })),
    );
    this.#follow(
      clusterKey,
      watches.proxies,
      proxies.map(({ target, incarnation }) => ({
        name: target.name,
        aim: JSON.stringify([target, incarnation]),
        incarnation,
        open: () => openProxy(target),
      })),
    );
  }

  looksOf(clusterKey: string): Looks {
    const watches = this.#clusters.get(clusterKey);
    return { shards: looks(watches?.shards), proxies: looks(watches?.proxies) };
  }

  /** The next look at this server is now: something was done to it. */
  hurry(clusterKey: string, name: string): void {
    const watches = this.#clusters.get(clusterKey);
    watches?.shards.get(name)?.wake.abort();
    watches?.proxies.get(name)?.wake.abort();
  }

  forget(clusterKey: string): void {
    const watches = this.#clusters.get(clusterKey);
    for (const watch of [...(watches?.shards.values() ?? []), ...(watches?.proxies.values() ?? [])]) end(watch);
    this.#clusters.delete(clusterKey);
  }

  /** Ends all loops; looks that are under way are given up. */
  stop(): void {
    for (const key of [...this.#clusters.keys()]) this.forget(key);
  }

  #follow<T extends object>(
    clusterKey: string,
    watches: Map<string, Watch<T>>,
    wanted: readonly { name: string; aim: string; incarnation: string; open: () => Eye<T> }[],
  ): void {
    const names = new Set(wanted.map(({ name }) => name));
    for (const [name, watch] of watches) {
      if (names.has(name)) continue;
      end(watch);
      watches.delete(name);
    }
    for (const { name, aim, incarnation, open } of wanted) {
      const before = watches.get(name);
      if (before?.aim === aim) continue;
      if (before !== undefined) end(before);
      // What was seen under another question or password is still the newest that is known; another pod's word is not.
      const known = before?.incarnation === incarnation ? before : undefined;
      const watch: Watch<T> = {
        eye: open(),
        aim,
        incarnation,
        stop: new AbortController(),
        look: known?.look ?? { kind: 'never' },
        wake: new AbortController(),
        firstFailureMs: known?.firstFailureMs,
      };
      watches.set(name, watch);
      void this.#keepLooking(clusterKey, watch);
    }
  }

  async #keepLooking<T extends object>(clusterKey: string, watch: Watch<T>): Promise<void> {
    const { clock, onChange, calmIntervalMs = CALM_MS, hurryIntervalMs = HURRY_MS } = this.#options;
    while (!watch.stop.signal.aborted) {
      watch.wake = new AbortController();
      const asked = await watch.eye.look();
      if (watch.stop.signal.aborted) return;
      const before = watch.look;
      watch.look = this.#note(watch, asked);
      if (said(before) !== said(watch.look)) onChange(clusterKey);
      const failedMs = watch.firstFailureMs === undefined ? 0 : clock.nowMs() - watch.firstFailureMs;
      const well = asked.kind === 'answer' || failedMs > HURRY_AT_MOST_MS;
      const pause = AbortSignal.any([watch.wake.signal, watch.stop.signal]);
      await clock.sleep(well ? calmIntervalMs : hurryIntervalMs, pause);
    }
  }

  #note<T>(watch: Watch<T>, asked: Asked<T>): Look<T> {
    const atMs = this.#options.clock.nowMs();
    if (asked.kind === 'answer') {
      watch.firstFailureMs = undefined;
      return { kind: 'seen', atMs, facts: asked.value };
    }
    watch.firstFailureMs ??= atMs;
    const { look } = watch;
    const last =
      look.kind === 'seen' ? { atMs: look.atMs, facts: look.facts } : look.kind === 'failed' ? look.last : undefined;
    const same = look.kind === 'failed' && look.failure.kind === asked.failure.kind;
    const since = { sinceMs: watch.firstFailureMs, kindSinceMs: same ? look.kindSinceMs : atMs };
    return { kind: 'failed', atMs, ...since, failure: asked.failure, last };
  }
}

function looks<T>(watches: ReadonlyMap<string, Watch<T>> | undefined): ReadonlyMap<string, Look<T>> {
  return new Map([...(watches ?? [])].map(([name, { look }]) => [name, look]));
}

function end({ stop, eye }: { readonly stop: AbortController; readonly eye: Eye<unknown> }): void {
  stop.abort();
  eye.close();
}

/** What a look says, without what changes all the time. */
function said(look: Look<object>): string {
  switch (look.kind) {
    case 'never':
      return 'never';
    case 'seen':
      return JSON.stringify(look.facts, (key, value: unknown) => (VOLATILE.has(key) ? undefined : value));
    case 'failed':
      return `${look.failure.kind}: ${look.failure.message}`;
  }
}
