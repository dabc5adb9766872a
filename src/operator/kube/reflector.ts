// A local copy of all objects of a kind that follows the API server through every fault and never gives up until told to stop.
import type { Clock } from '../../kernel/clock.ts';
import { type BackoffBounds, backoffMs } from './backoff.ts';
import type { KubeClient, Selection } from './client.ts';
import { KubeError } from './kube-error.ts';
import { type Change, ObjectCache } from './object-cache.ts';
import { nextStep, type ReflectorEnd, type ReflectorStep, SHORT_WATCH_MS } from './reflector-step.ts';
import { type KubeObject, type ObjectRef, objectKey, type Resource } from './resource.ts';
import type { WatchEvent } from './watch-stream.ts';

export interface ReflectorOptions<Shape extends KubeObject> {
  readonly client: Pick<KubeClient, 'list' | 'watch'>;
  readonly type: Resource<Shape>;
  readonly selection?: Selection;
  readonly clock: Clock;
  /** Numbers in [0, 1), for jitter. */
  readonly random: () => number;
  /** Every object is told again this often; default 10 h, 0 for never. */
  readonly resyncMs?: number;
  /** A watch without an event or bookmark for this long is taken for dead (bookmarks come each minute); default 150 s. */
  readonly silenceMaxMs?: number;
  readonly backoff?: BackoffBounds;
  /** Told of failed lists and watches and of handlers that threw; the reflector goes on. */
  readonly onProblem?: (error: unknown) => void;
}

/** Called in order; what it throws or rejects with goes to `onProblem`. It should only add to a queue. */
export type ChangeHandler<Shape extends KubeObject> = (change: Change<Shape>) => void | Promise<void>;

const RESYNC_MS = 36_000_000;
const SILENCE_MAX_MS = 150_000;
const BACKOFF: BackoffBounds = { minMs: 500, maxMs: 10_000 };
/** Watches end in good order after 5 to 10 minutes, so that not all end together. */
const WATCH_SECONDS_MIN = 300;

export class Reflector<Shape extends KubeObject> {
  readonly #options: ReflectorOptions<Shape>;
  readonly #cache = new ObjectCache<Shape>();
  readonly #handlers = new Set<ChangeHandler<Shape>>();
  readonly #synced = Promise.withResolvers<void>();
  #hasSynced = false;
  #resourceVersion = '';
  #failures = 0;
  #watchFailures = 0;
  #contactAtMs: number | undefined;
  #problem: KubeError | undefined;

  constructor(options: ReflectorOptions<Shape>) {
    this.#options = options;
  }

  /** True once a first list was taken over and told to the handlers. */
  get hasSynced(): boolean {
    return this.#hasSynced;
  }

  /** Resolves when {@link hasSynced} turns true; never rejects, and never resolves where no list ever works. */
  get synced(): Promise<void> {
    return this.#synced.promise;
  }

  /** What is wrong now; `undefined` while the copy follows. */
  get problem(): KubeError | undefined {
    return this.#problem;
  }

  /** Milliseconds since the API server last said anything (list, event or bookmark); `undefined` before the first word. */
  get contactAgeMs(): number | undefined {
    return this.#contactAtMs === undefined ? undefined : this.#options.clock.monotonicMs() - this.#contactAtMs;
  }

  get size(): number {
    return this.#cache.size;
  }

  get(ref: ObjectRef): Shape | undefined {
    return this.#cache.get(objectKey(ref));
  }

  values(): IterableIterator<Shape> {
    return this.#cache.values();
  }

  /** Tells `handler` every change from now on; returns what ends that. Objects already known come as `added` at once. */
  subscribe(handler: ChangeHandler<Shape>): () => void {
    this.#handlers.add(handler);
    const known = this.#cache.resync().map(({ key, object }) => ({ kind: 'added', key, object }) as const);
    for (const change of known) this.#tell(handler, change);
    return () => this.#handlers.delete(handler);
  }

  /** Follows until `signal` aborts; never rejects. Call it once. */
  async run(signal: AbortSignal): Promise<void> {
    void this.#resyncAgainAndAgain(signal);
    let step: ReflectorStep = { kind: 'list', after: 'atOnce' };
    while (!signal.aborted) {
      if (step.after === 'backoff') {
        this.#failures += 1;
        const { clock, random, backoff = BACKOFF } = this.#options;
        await clock.sleep(
          Math.max(backoffMs(this.#failures, backoff, random), this.#problem?.retryAfterMs ?? 0),
          signal,
        );
        if (signal.aborted) return;
      }
      step = nextStep(step.kind === 'list' ? await this.#list(signal) : await this.#watch(signal));
    }
  }

  async #list(signal: AbortSignal): Promise<ReflectorEnd> {
    const { client, type, selection } = this.#options;
    try {
      const { items, resourceVersion } = await client.list(type, selection, { signal });
      this.#heard();
      this.#resourceVersion = resourceVersion;
      this.#watchFailures = 0;
      this.#tellAll(this.#cache.replace(items));
      this.#hasSynced = true;
      this.#synced.resolve();
      return { kind: 'listed' };
    } catch (error) {
      this.#failed(error, signal);
      return { kind: 'listFailed' };
    }
  }

  async #watch(signal: AbortSignal): Promise<ReflectorEnd> {
    const { client, type, selection, clock, random } = this.#options;
    const timeoutSeconds = Math.floor(WATCH_SECONDS_MIN * (1 + random()));
    const stop = new AbortController();
    const abort = () => stop.abort();
    signal.addEventListener('abort', abort);
    const silence = this.#watchSilence(stop);
    let openedAtMs: number | undefined;
    let events = 0;
    let error: KubeError | undefined;
    try {
      const options = { ...selection, resourceVersion: this.#resourceVersion, timeoutSeconds };
      for await (const event of client.watch(type, options, stop.signal)) {
        this.#heard();
        if (event.kind === 'opened') {
          openedAtMs = clock.monotonicMs();
          continue;
        }
        events += 1;
        this.#failures = 0;
        this.#follow(event);
      }
    } catch (caught) {
      if (!silence.hit()) error = this.#failed(caught, signal);
    } finally {
      silence.end();
      signal.removeEventListener('abort', abort);
    }
    const livedMs = openedAtMs === undefined ? 0 : clock.monotonicMs() - openedAtMs;
    const worked = events > 0 || livedMs >= SHORT_WATCH_MS;
    if (worked) this.#failures = 0;
    this.#watchFailures = worked || error === undefined ? 0 : this.#watchFailures + 1;
    return { kind: 'watchEnded', error, events, livedMs, failuresInARow: this.#watchFailures };
  }

  #follow(event: Exclude<WatchEvent<Shape>, { kind: 'opened' }>): void {
    const version = event.kind === 'bookmark' ? event.resourceVersion : event.object.metadata.resourceVersion;
    if (version !== undefined && version !== '') this.#resourceVersion = version;
    this.#tellAll(this.#cache.apply(event));
  }

  /** Ends a watch that has been silent for too long: one sleeper for the whole watch, not one for each event. */
  #watchSilence(stop: AbortController): { hit: () => boolean; end: () => void } {
    const { clock, silenceMaxMs = SILENCE_MAX_MS } = this.#options;
    const startedAtMs = clock.monotonicMs();
    const over = new AbortController();
    let hit = false;
    const guard = async (): Promise<void> => {
      for (;;) {
        const quietMs = clock.monotonicMs() - Math.max(startedAtMs, this.#contactAtMs ?? 0);
        if (over.signal.aborted) return;
        if (quietMs >= silenceMaxMs) break;
        await clock.sleep(silenceMaxMs - quietMs, over.signal);
      }
      hit = true;
      stop.abort();
    };
    void guard();
    return { hit: () => hit, end: () => over.abort() };
  }

  /**
   * The server answered. The count of failures stays: a list that works before a watch that does not would else be
   * asked for without a pause.
   */
  #heard(): void {
    this.#contactAtMs = this.#options.clock.monotonicMs();
    this.#problem = undefined;
  }

  #failed(caught: unknown, signal: AbortSignal): KubeError {
    const error = caught instanceof KubeError ? caught : new KubeError('malformed', String(caught), { cause: caught });
    if (signal.aborted) return error;
    this.#problem = error;
    this.#options.onProblem?.(error);
    return error;
  }

  async #resyncAgainAndAgain(signal: AbortSignal): Promise<void> {
    const { clock, resyncMs = RESYNC_MS } = this.#options;
    while (resyncMs > 0 && !signal.aborted) {
      await clock.sleep(resyncMs, signal);
      if (!signal.aborted) this.#tellAll(this.#cache.resync());
    }
  }

  #tellAll(changes: readonly Change<Shape>[]): void {
    for (const change of changes) for (const handler of this.#handlers) this.#tell(handler, change);
  }

  #tell(handler: ChangeHandler<Shape>, change: Change<Shape>): void {
    const problem = (error: unknown) => this.#options.onProblem?.(error);
    try {
      const outcome = handler(change);
      if (outcome !== undefined) outcome.catch(problem);
    } catch (error) {
      problem(error);
    }
  }
}
