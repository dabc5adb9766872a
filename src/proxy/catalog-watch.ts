// Keeps the router's picture of the sharded tables true: looks at every shard at start, after each DDL of ours, when a
// statement failed in a suspicious way, and now and then. The rule: after DDL a shard that does not answer counts as unseen.
//
//   never answered ──answer──▶ seen ──no answer after DDL──▶ unseen ──answer──▶ seen
//   (statements on sharded tables are refused there)         (again refused there)
import type { Clock } from '../kernel/clock.ts';
import { PROBE_DEADLINES, ProbeConnection } from '../recovery/probe-connection.ts';
import type { TableCatalog } from '../routing/table-catalog.ts';
import type { Topology } from '../routing/topology.ts';
import type { SchemaWatch } from '../session/schema-watch.ts';
import type { CommandReply } from '../shard/branch-link.ts';
import type { Logger } from '../telemetry/log.ts';
import type { ProxyConfig } from './config.ts';
import { readShardTables, SHARD_TABLES, type ShardedTable, type ShardTables, tableFacts } from './shard-tables.ts';

/** One shard to be asked; never rejects (recovery's ProbeConnection is one). */
export interface CatalogSource {
  run(sql: string, values: readonly unknown[]): Promise<CommandReply>;
  close(): Promise<void>;
}

export interface CatalogWatchOptions {
  readonly topology: Topology;
  /** One per shard, in the topology's order. */
  readonly sources: readonly CatalogSource[];
  /** Takes each new picture. */
  readonly adopt: (catalog: TableCatalog) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

/** How long DDL that did not come through this proxy may stay unnoticed. */
export const LOOK_INTERVAL_MS = 2_000;
/** A look costs a shard about 0.04 ms per listed table (measured), so this keeps it near one percent of a core. */
const LOOK_INTERVAL_MS_PER_TABLE = 4;
/** While a shard has not been seen, because its statements wait for that. */
const RETRY_INTERVAL_MS = 250;
/** While two shards differ, because a commit may still be on its way to one of them. */
const DISPUTE_INTERVAL_MS = 1_000;
/** A client whose statements keep failing must not make the shards busy. */
const DOUBT_INTERVAL_MS = 1_000;

/** The watch over the shards of `config`, asked with the recovery role over one connection each. */
export function catalogWatch(
  config: Pick<ProxyConfig, 'shards' | 'resolver'>,
  ownerName: string,
  options: Omit<CatalogWatchOptions, 'sources'>,
): CatalogWatch {
  const sources = config.shards.map((shard) => {
    const target = { ...shard, shard: shard.name, ...config.resolver, ownerName };
    return new ProbeConnection(target, PROBE_DEADLINES, options.clock);
  });
  return new CatalogWatch({ ...options, sources });
}

export class CatalogWatch implements SchemaWatch {
  readonly #options: CatalogWatchOptions;
  readonly #rules: readonly ShardedTable[];
  readonly #seen = new Map<string, ShardTables>();
  readonly #closing = new AbortController();
  /** What has been complained about, so that each fault is logged when it comes up, not at each look. */
  #complaints: ReadonlySet<string> = new Set();
  #last: Promise<void> = Promise.resolve();
  #waiting: Promise<void> | undefined;
  #forgetSilent = false;
  #lookedAtMs = Number.NEGATIVE_INFINITY;
  #watching: Promise<void> | undefined;
  #untilNextMs = RETRY_INTERVAL_MS;

  constructor(options: CatalogWatchOptions) {
    this.#options = options;
    this.#rules = [...options.topology.tables.values()].filter((rule) => rule.kind === 'sharded');
  }

  /** The first look, then one now and then. Resolves when every shard has answered or failed to. */
  async start(): Promise<void> {
    if (this.#rules.length === 0) return;
    await this.#look(false);
    this.#watching = this.#watch();
  }

  /** Resolves after a look that began after this call. Shards that do not answer count as unseen from then on. */
  async refresh(): Promise<void> {
    if (this.#rules.length > 0 && !this.#closing.signal.aborted) await this.#look(true);
  }

  /** A statement failed that leant on the picture: look again soon, but not too often. */
  doubt(): void {
    const { clock } = this.#options;
    if (this.#rules.length === 0 || this.#closing.signal.aborted) return;
    if (clock.monotonicMs() - this.#lookedAtMs >= DOUBT_INTERVAL_MS) void this.#look(false);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all(this.#options.sources.map((source) => source.close()));
    await this.#watching;
    await this.#last;
  }

  async #watch(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#closing;
    while (!signal.aborted) {
      await clock.sleep(this.#untilNextMs, signal);
      if (!signal.aborted) await this.#look(false);
    }
  }

  /** One look at a time; who asks while one waits shares it, who asks while one runs gets the next. */
  #look(forgetSilent: boolean): Promise<void> {
    this.#forgetSilent ||= forgetSilent;
    this.#waiting ??= this.#queueLook();
    return this.#waiting;
  }

  #queueLook(): Promise<void> {
    const look = this.#last.then(async () => {
      this.#waiting = undefined;
      const forget = this.#forgetSilent;
      this.#forgetSilent = false;
      await this.#lookNow(forget);
    });
    this.#last = look;
    return look;
  }

  async #lookNow(forgetSilent: boolean): Promise<void> {
    const { topology, sources, clock } = this.#options;
    this.#lookedAtMs = clock.monotonicMs();
    const schemas = this.#rules.map(({ schema }) => schema);
    const names = this.#rules.map(({ name }) => name);
    const replies = await Promise.all(sources.map((source) => source.run(SHARD_TABLES, [schemas, names])));
    if (this.#closing.signal.aborted) return;
    for (const [index, shard] of topology.shards.entries()) {
      const reply = replies[index];
      if (reply?.kind === 'complete') this.#seen.set(shard, readShardTables(reply.rows));
      else if (forgetSilent) this.#seen.delete(shard);
    }
    this.#adopt();
  }

  #adopt(): void {
    const { topology, adopt } = this.#options;
    const tables = tableFacts(this.#rules, this.#seen);
    const unseen = topology.shards.flatMap((shard, index) => (this.#seen.has(shard) ? [] : [index]));
    this.#complain(tables);
    const calmMs = LOOK_INTERVAL_MS + this.#rules.length * LOOK_INTERVAL_MS_PER_TABLE;
    const disputed = [...tables.values()].some((fact) => fact.kind === 'unknown' && fact.disputed);
    this.#untilNextMs = unseen.length > 0 ? RETRY_INTERVAL_MS : disputed ? DISPUTE_INTERVAL_MS : calmMs;
    adopt({ tables, unseen: new Set(unseen) });
  }

  #complain(tables: TableCatalog['tables']): void {
    const complaints = new Set<string>();
    for (const [table, fact] of tables) {
      if (fact.kind !== 'mismatch') continue;
      const complaint = `${table} is not what sharding.tables says, so its statements are refused: ${fact.why}`;
      complaints.add(complaint);
      if (!this.#complaints.has(complaint)) this.#options.log.error({ table }, complaint);
    }
    this.#complaints = complaints;
  }
}
