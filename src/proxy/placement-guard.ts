// Keeps the shards' own records of the placement true, and lets no other list of shards come into force over rows.
// The rule: a record is replaced under the locks of all shards, in two steps, and only when nobody is connected and no row is there.
//
//   record A ──▶ moving (nobody can use it) ──▶ every proxy's connections ended ──▶ still empty? ──▶ record B
//                                                                                   └─ no ──▶ record A
// A crash leaves some shards moving and the others all at A or all at B: A and B never serve at the same time.
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../kernel/clock.ts';
import type { ProbeTarget } from '../recovery/probe-connection.ts';
import { parseMark, renderMark, renderMoving } from '../shard/placement-mark.ts';
import type { Logger } from '../telemetry/log.ts';
import type { ProxyConfig } from './config.ts';
import { decidePlacement, isEmptyEnough, type PlacementDecision, placementOf } from './placement-decision.ts';
import { PlacementShard, PlacementStopped } from './placement-shard.ts';

export type PlacementConfig = Pick<ProxyConfig, 'shards' | 'resolver' | 'sharding'>;

/** What became of it; `settled` with nobody silent means that every shard carries its record. */
export type Verdict = Extract<PlacementDecision, { kind: 'settled' | 'waiting' | 'refused' }>;

export interface PlacementGuardOptions {
  /** The configuration in force. */
  readonly config: () => PlacementConfig;
  readonly ownerName: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/** While a shard has not shown its record. */
const RETRY_INTERVAL_MS = 1_000;
/** A record can only be lost by hand, or with its server. */
const CALM_INTERVAL_MS = 10_000;

export class PlacementGuard {
  readonly #options: PlacementGuardOptions;
  readonly #closing = new AbortController();
  #shards = new Map<string, { readonly target: ProbeTarget; readonly shard: PlacementShard }>();
  #last: Promise<unknown> = Promise.resolve();
  #watching: Promise<void> | undefined;
  /** Every shard has carried our record: if one does not any more, somebody else's list is in force, and stays so. */
  #wasSettled = false;
  #told = '';

  constructor(options: PlacementGuardOptions) {
    this.#options = options;
  }

  /** Why statements are refused on some or all shards, as of the last look; undefined while they are not. */
  get fault(): string | undefined {
    return this.#told === '' ? undefined : this.#told;
  }

  /**
   * Brings the placement of `config` into force on all shards, or says why not; one at a time. With `mayMove` another
   * placement is replaced where no shard has a row. Never rejects.
   */
  settle(config: PlacementConfig, mayMove: boolean): Promise<Verdict> {
    const turn = this.#last.then(() => this.#settle(config, mayMove));
    this.#last = turn;
    return turn;
  }

  /** The first look. Afterwards shards that were silent, or lost their record, are looked after until close(). */
  async start(): Promise<Verdict> {
    const first = await this.#settleOurs();
    this.#watching = first.kind === 'refused' ? undefined : this.#watch(first);
    return first;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#watching;
    await this.#last;
    await this.#forgetAllBut(new Set());
  }

  async #settleOurs(): Promise<Verdict> {
    const verdict = await this.settle(this.#options.config(), !this.#wasSettled);
    if (verdict.kind === 'settled' && verdict.silent.length === 0) this.#wasSettled = true;
    this.#tell(verdict);
    return verdict;
  }

  async #watch(first: Verdict): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#closing;
    let verdict = first;
    while (!signal.aborted) {
      const calm = verdict.kind === 'settled' && verdict.silent.length === 0;
      await clock.sleep(calm ? CALM_INTERVAL_MS : RETRY_INTERVAL_MS, signal);
      if (!signal.aborted) verdict = await this.#settleOurs();
    }
  }

  /** Each fault once, when it comes up. */
  #tell(verdict: Verdict): void {
    const problems = verdict.kind === 'settled' ? '' : verdict.problems.join('; ');
    if (problems !== '' && problems !== this.#told)
      this.#options.log.error({ problems }, 'statements are refused on shards that do not carry our list of shards');
    this.#told = problems;
  }

  async #settle(config: PlacementConfig, mayMove: boolean): Promise<Verdict> {
    const wanted = placementOf(config);
    const shards = await this.#shardsOf(config);
    const marks = await Promise.all(shards.map((shard) => shard.mark()));
    if (shards.every(({ name }, index) => marks[index] === renderMark(wanted, name))) {
      return { kind: 'settled', silent: [] };
    }
    const decision = decidePlacement(wanted, await Promise.all(shards.map((shard) => shard.look())));
    if (decision.kind !== 'record' && decision.kind !== 'move') return decision;
    if (decision.kind === 'move' && !mayMove) return { kind: 'refused', problems: [decision.why] };
    const answering = decision.kind === 'move' ? shards : shards.filter((_, index) => marks[index] !== undefined);
    // Everybody in the same order, so that nobody waits in a circle.
    const inOrder = answering.toSorted((one, other) => (one.name < other.name ? -1 : 1));
    try {
      for (const shard of inOrder) await shard.lock();
      return await this.#settleLocked(config, shards, mayMove);
    } catch (error) {
      if (!(error instanceof PlacementStopped)) throw error;
      return { kind: 'waiting', problems: [`shards: ${error.message}`] };
    } finally {
      await Promise.all(inOrder.map((shard) => shard.unlock()));
    }
  }

  async #settleLocked(config: PlacementConfig, shards: readonly PlacementShard[], mayMove: boolean): Promise<Verdict> {
    const { log } = this.#options;
    const wanted = placementOf(config);
    const seen = await Promise.all(shards.map((shard) => shard.look()));
    const decision = decidePlacement(wanted, seen);
    switch (decision.kind) {
      case 'settled':
      case 'waiting':
      case 'refused':
        return decision;
      case 'record':
        for (const shard of decision.unproven)
          log.warn(
            { shard },
            'rows were there before the list of shards was recorded; that it is theirs is taken for granted',
          );
        await this.#record(config, shards, decision.shards);
        break;
      case 'move': {
        if (!mayMove) return { kind: 'refused', problems: [decision.why] };
        const after = await this.#shutOut(config, shards, decision.tables);
        if (after.kind !== 'record') return after.kind === 'move' ? { kind: 'waiting', problems: [after.why] } : after;
        // From here on no list but the new one can come into force without a move of its own.
        await this.#record(config, shards, after.shards);
        log.info({ placement: wanted }, 'the shards were empty; another list of them is in force');
      }
    }
    const silent = seen.filter(({ kind }) => kind === 'silent').map(({ shard }) => shard);
    return { kind: 'settled', silent };
  }

  /** Takes the former records away and ends all connections; puts them back where a row came in between. */
  async #shutOut(
    config: PlacementConfig,
    shards: readonly PlacementShard[],
    tables: 'allowed' | 'none',
  ): Promise<PlacementDecision> {
    const wanted = placementOf(config);
    try {
      for (const shard of shards) {
        const mark = await shard.mark();
        const placed = mark != null && mark !== renderMark(wanted, shard.name) && parseMark(mark).kind === 'placed';
        if (placed) await shard.write(mark, renderMoving(mark)); // crash: unusable here; the next start goes on or back
      }
      for (const shard of shards) await shard.fence(); // crash: as before; nobody has a connection any more
      const seen = await Promise.all(shards.map((shard) => shard.look()));
      const after = decidePlacement(wanted, seen);
      if (after.kind === 'record' && isEmptyEnough(tables, seen)) return after;
      await this.#putBack(shards);
      return after.kind === 'record' || after.kind === 'settled'
        ? { kind: 'waiting', problems: ['shards: something was written meanwhile'] }
        : after;
    } catch (error) {
      await this.#putBack(shards).catch(() => undefined); // the next look does it
      throw error;
    }
  }

  async #putBack(shards: readonly PlacementShard[]): Promise<void> {
    for (const shard of shards) {
      const mark = await shard.mark();
      const parsed = mark == null ? undefined : parseMark(mark);
      // A crash here: some are still moving, the others as they were before.
      if (mark != null && parsed?.kind === 'moving') await shard.write(mark, parsed.from);
    }
  }

  /** A crash between two of them: those without are recorded by the next look of anybody with this list. */
  async #record(config: PlacementConfig, shards: readonly PlacementShard[], names: readonly string[]): Promise<void> {
    for (const shard of shards.filter(({ name }) => names.includes(name))) {
      const mark = await shard.mark();
      if (mark === undefined) throw new PlacementStopped(`${shard.name} does not answer any more`);
      await shard.write(mark, renderMark(placementOf(config), shard.name));
    }
  }

  async #shardsOf({ shards, resolver }: PlacementConfig): Promise<PlacementShard[]> {
    const { clock, ownerName } = this.#options;
    const targets = shards.map((shard): ProbeTarget => ({ ...shard, shard: shard.name, ...resolver, ownerName }));
    const kept = targets.filter((target) => isDeepStrictEqual(this.#shards.get(target.shard)?.target, target));
    await this.#forgetAllBut(new Set(kept.map(({ shard }) => shard)));
    return targets.map((target) => {
      const known = this.#shards.get(target.shard)?.shard ?? new PlacementShard(target, clock);
      this.#shards.set(target.shard, { target, shard: known });
      return known;
    });
  }

  async #forgetAllBut(kept: ReadonlySet<string>): Promise<void> {
    const gone = [...this.#shards].filter(([name]) => !kept.has(name));
    for (const [name] of gone) this.#shards.delete(name);
    await Promise.all(gone.map(([, { shard }]) => shard.close()));
  }
}
