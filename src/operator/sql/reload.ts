// Asks a server to read its configuration again. That it did is not proven here but by the next look (ShardFacts.differences).
import type { Asked } from './facts.ts';
import type { SqlSession } from './sql-session.ts';

/** Sends pg_reload_conf; the same when done twice. A file with a fault is refused whole by the server, and the look says why. */
export async function reloadShard(session: SqlSession): Promise<Asked<{ readonly sent: true }>> {
  const reply = await session.run('SELECT pg_catalog.pg_reload_conf()');
  if (reply.kind === 'failed') return reply;
  if (reply.value.rows[0]?.[0] === 't') return { kind: 'answer', value: { sent: true } };
  const message = `${session.target.name}: pg_reload_conf answered that the signal could not be sent`;
  return { kind: 'failed', failure: { kind: 'refused', message } };
}
