// Looks at every shard ten times a second, past the proxies, and writes down what of ours is prepared and which runs are connected.
//
// One line per shard and change, so that afterwards it can be said when a transaction was last seen in doubt:
//   {"atMs":…,"shard":"shard-0","prepared":[{"gid":"as1:…","xid":"812"}],"owners":["as1:k3x9q:proxy-0.1789"]}
//   {"atMs":…,"shard":"shard-0","down":"connect ECONNREFUSED"}
import { appendFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { OUTBOX_FILES, shardsFromEnv } from './files.ts';

const EVERY_MS = 100;
const ANSWER_TIMEOUT_MS = 2_000;

// A backend that waits for a lock does not notice that its proxy is dead; all others vanish with it.
const SQL = `
  SELECT coalesce((SELECT json_agg(json_build_object('gid', gid, 'xid', transaction::text) ORDER BY gid)
                   FROM pg_prepared_xacts WHERE gid LIKE 'as1:%'), '[]') AS prepared,
         coalesce((SELECT json_agg(DISTINCT application_name ORDER BY application_name)
                   FROM pg_stat_activity
                   WHERE application_name LIKE 'as1:%' AND wait_event_type IS DISTINCT FROM 'Lock'), '[]') AS owners`;

const folder = process.argv[2] ?? '/outbox';
const file = path.join(folder, OUTBOX_FILES.observations);

async function watch({ name, url }: { readonly name: string; url(): string }): Promise<never> {
  let last = '';
  const write = (seen: object) => {
    const text = JSON.stringify(seen);
    if (text === last) return;
    last = text;
    appendFileSync(file, `${JSON.stringify({ atMs: Date.now(), shard: name, ...seen })}\n`);
  };
  for (;;) {
    const client = new pg.Client({
      connectionString: url(),
      connectionTimeoutMillis: ANSWER_TIMEOUT_MS,
      query_timeout: ANSWER_TIMEOUT_MS,
      application_name: 'e2e-observer',
    });
    client.on('error', () => undefined);
    try {
      await client.connect();
      for (;;) {
        write((await client.query(SQL)).rows[0] as object);
        await sleep(EVERY_MS);
      }
    } catch (error) {
      write({ down: error instanceof Error ? error.message : String(error) });
      client.connection.stream.destroy();
      await sleep(EVERY_MS);
    }
  }
}

await Promise.all(shardsFromEnv(process.env.SHARD_URLS).map(watch));
