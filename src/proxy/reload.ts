// Brings a changed configuration into force without sending a client away. What can fail is done first, in memory; from the
// first change on nothing fails any more, so a reload is taken whole or not at all.
import { isDeepStrictEqual } from 'node:util';
import { Router } from '../routing/router.ts';
import { buildTopology, type Topology, TopologyError } from '../routing/topology.ts';
import { catalogWatch } from './catalog-watch.ts';
import { ConfigError, type ProxyConfig } from './config.ts';
import type { LoadedConfig } from './config-file.ts';
import type { Listener } from './listener.ts';
import { loginSettings } from './login-settings.ts';
import { type ProxyParts, probeFor } from './parts.ts';
import { planReload } from './reload-plan.ts';

export type ReloadOutcome =
  | { readonly kind: 'reloaded'; readonly changed: readonly string[]; readonly restartNeeded: readonly string[] }
  | { readonly kind: 'refused'; readonly error: string };

export class Reload {
  readonly #parts: ProxyParts;
  readonly #listener: Listener;
  #last: Promise<unknown> = Promise.resolve();

  constructor(parts: ProxyParts, listener: Listener) {
    this.#parts = parts;
    this.#listener = listener;
  }

  /** Reads the file and applies it; one reload at a time. Never rejects for the file's sake. */
  run(): Promise<ReloadOutcome> {
    const turn = this.#last.then(() => this.#run());
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async #run(): Promise<ReloadOutcome> {
    const { live, counters, log } = this.#parts;
    try {
      if (live.file === undefined) throw new ConfigError('configuration', ['it does not come from a file']);
      const loaded = live.file.load();
      // Asked again and again while a changed file is on its way: then there is nothing to do, and nothing to say.
      if (loaded.sha256 === live.sha256 && live.error === null) {
        return { kind: 'reloaded', changed: [], restartNeeded: live.restartNeeded };
      }
      const { changed } = await this.#apply(live.file.path, loaded);
      counters.reloads++;
      log.info({ changed, restartNeeded: live.restartNeeded, sha256: live.sha256 }, 'configuration reloaded');
      return { kind: 'reloaded', changed, restartNeeded: live.restartNeeded };
    } catch (error) {
      if (!(error instanceof ConfigError) && !(error instanceof TopologyError)) throw error;
      counters.refusedReloads++;
      live.error = error.message;
      log.error({ err: error }, 'the changed configuration is refused; the running one stays in force');
      return { kind: 'refused', error: error.message };
    }
  }

  async #apply(path: string, { config: next, sha256 }: LoadedConfig): Promise<{ changed: readonly string[] }> {
    const { live, services, backends, log } = this.#parts;
    const before = live.current;
    const plan = planReload(live.started, before, next);
    if (plan.kind === 'refused') throw new ConfigError(path, plan.problems);
    const { config, changed, restartNeeded } = plan;
    const settings = await loginSettings(config, this.#parts);
    const topology = buildTopology(
      config.sharding,
      config.shards.map(({ name }) => name),
    );
    // A crash behind it: the shards carry the list that the file says, and the next start reads that file.
    if (config.shards.length > before.shards.length) await this.#place(path, config);
    // From here on nothing can be refused.
    live.current = config;
    live.sha256 = sha256;
    live.error = null;
    live.restartNeeded = restartNeeded;
    log.level = config.log.level;
    services.autoTwoPhaseCommit = config.twoPhaseCommit.auto;
    services.preparedStatementsMax = config.limits.preparedStatementsMax;
    backends.reconfigure();
    await this.#replaceProbes(before);
    if (changed.some((at) => /^(shards|sharding|resolver)(\.|$)/.test(at))) await this.#replaceRouter(topology);
    this.#listener.settings = settings;
    return { changed };
  }

  /** More shards: only while no shard has a row, and then every proxy must read the new list before it goes on. */
  async #place(path: string, config: ProxyConfig): Promise<void> {
    const verdict = await this.#parts.placement.settle(config, true);
    if (verdict.kind !== 'settled') throw new ConfigError(path, verdict.problems);
    if (verdict.silent.length > 0)
      throw new ConfigError(path, [
        `shards: one can only be added when all answer; ${verdict.silent.join(', ')} does not`,
      ]);
  }

  /** Recovery reads the map at each pass: a probe that is replaced in the middle of one does not answer it any more. */
  async #replaceProbes(before: ProxyConfig): Promise<void> {
    const { live, probes, ownerName } = this.#parts;
    const sameResolver = isDeepStrictEqual(before.resolver, live.current.resolver);
    for (const [index, shard] of live.current.shards.entries()) {
      if (sameResolver && isDeepStrictEqual(before.shards[index], shard)) continue;
      const former = probes.get(shard.name);
      probes.set(shard.name, probeFor(this.#parts, ownerName, shard.name));
      await former?.close();
    }
  }

  /** Statements that were planned before are planned anew when they are next used. */
  async #replaceRouter(topology: Topology): Promise<void> {
    const { live, services, ownerName, clock, log, catalog: former } = this.#parts;
    const router = new Router(topology);
    const catalog = catalogWatch(live.current, ownerName, {
      topology,
      adopt: (seen) => router.adopt(seen),
      clock,
      log,
    });
    await catalog.start();
    const formerRouter = services.router;
    services.router = router;
    services.schema = catalog;
    services.shardNames = topology.shards;
    services.searchPath = topology.searchPath;
    this.#parts.catalog = catalog;
    formerRouter.retire();
    await former.close();
  }
}
