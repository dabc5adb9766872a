// Whether a shard holds rows of anybody's tables. More shards place every row elsewhere, and rows are not moved: over rows a
// shard is never added, because they would be looked for where they are not.
import type { Clock } from '../kernel/clock.ts';
import { PROBE_DEADLINES, ProbeConnection } from '../recovery/probe-connection.ts';
import type { ProxyConfig } from './config.ts';

/** By size, because the recovery role may not read tables; one that was emptied counts as full until VACUUM or TRUNCATE. */
const FILLED_TABLE = `
  SELECT n.nspname || '.' || c.relname
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'm') AND n.nspname <> 'information_schema' AND NOT starts_with(n.nspname, 'pg_')
     AND pg_catalog.pg_relation_size(c.oid) > 0
   ORDER BY 1 LIMIT 1`;

/** One problem for each shard that has rows or cannot be asked. */
export async function problemsOfAddingShards(
  config: Pick<ProxyConfig, 'shards' | 'resolver'>,
  ownerName: string,
  clock: Clock,
): Promise<string[]> {
  const found = await Promise.all(
    config.shards.map(async (shard) => {
      const target = { ...shard, shard: shard.name, ...config.resolver, ownerName };
      const connection = new ProbeConnection(target, PROBE_DEADLINES, clock);
      const reply = await connection.run(FILLED_TABLE, []);
      await connection.close();
      return { shard: shard.name, reply };
    }),
  );
  return found.flatMap(({ shard, reply }) => {
    if (reply.kind !== 'complete') return [`shards: one can only be added when all others answer; ${shard} does not`];
    const table = reply.rows[0]?.[0];
    if (table == null) return [];
    return [`shards: ${table} has rows on ${shard}; rows are not moved to new shards, so none can be added`];
  });
}
