// A look at every shard before the proxy starts: what is wrong there is said once, early, with what to do about it.
// It never stops the start: a shard that is down today must not take the others with it.
import type { Clock } from '../kernel/clock.ts';
import { ServerConnection } from '../shard/connection.ts';
import { ConnectFailure } from '../shard/target.ts';
import type { Logger } from '../telemetry/log.ts';
import type { ProxyConfig } from './config.ts';

/** Logs each shard that cannot be reached or cannot take part in two-phase commit. */
export async function inspectShards(config: ProxyConfig, ownerName: string, clock: Clock, log: Logger): Promise<void> {
  const { resolver, pool, twoPhaseCommit } = config;
  await Promise.all(
    config.shards.map(async (shard) => {
      const target = { ...shard, shard: shard.name, ...resolver, applicationName: ownerName };
      try {
        const connection = await ServerConnection.connect(target, { clock, connectTimeoutMs: pool.connectTimeoutMs });
        const { maxPreparedTransactions } = connection.facts;
        await connection.close();
        if (maxPreparedTransactions === 0 && twoPhaseCommit.enabled) {
          log.error(
            { shard: shard.name },
            `max_prepared_transactions is 0 on ${shard.name}: transactions that write there and elsewhere will be refused; set it to the number of connections that the proxies may open there (docs/CONFIGURATION.md, pool.size ${pool.size}) and restart that server`,
          );
        }
      } catch (error) {
        if (!(error instanceof ConnectFailure)) throw error;
        log.error({ shard: shard.name, kind: error.kind }, `${error.message}; statements for it fail until it answers`);
      }
    }),
  );
}
