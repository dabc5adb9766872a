// A real server whose volume is full: what it says as it ends is understood, and with room again it has every row.
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { afterAll, describe, expect, it } from 'vitest';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../../src/dev/embedded-postgres.ts';
import { LOG_FILE, type ServerExit } from '../../../src/dev/postmaster.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import { withinDeadline } from '../../../src/kernel/deadline.ts';
import { postgresEnding } from '../../../src/operator/diagnosis/ended-container.ts';
import { mountTmpfs, unmount } from '../../support/tmpfs.ts';

const MIB = 2 ** 20;
/** The server, its log's first segments, and not many more. */
const VOLUME_BYTES = 128 * MIB;
/** Enough for the server's own messages, which embedded servers keep beside their data, and too little for a segment. */
const ROOM_LEFT_BYTES = MIB;
/** PostgreSQL kills what does not end by itself after five seconds. */
const ENDS_WITHIN_MS = 30_000;
/** Longer than an embedded server may take to start, which then says why it did not. */
const TIMEOUT_MS = 150_000;

const root = mkdtempSync(path.join(os.tmpdir(), 'atomshard-full-'));
chmodSync(root, 0o755);
const volume = path.join(root, 'volume');
const data = path.join(volume, 'data');
const filler = path.join(volume, 'filler');
const isMounted = mountTmpfs(volume, VOLUME_BYTES);
afterAll(() => {
  if (isMounted) unmount(volume);
  rmSync(root, { recursive: true, force: true });
});

/**
 * Rejects when the server cannot make its next segment, which ends it: PostgreSQL never goes on with a log that it cannot write.
 * Which of its processes notices is chance, so what the client hears is too.
 */
async function writeUntilItEnds(server: EmbeddedPostgres): Promise<void> {
  const client = new pg.Client({ connectionString: server.url() });
  client.on('error', () => undefined);
  await client.connect();
  for (let segment = 0; segment < VOLUME_BYTES / (16 * MIB); segment += 1)
    await client.query("SELECT pg_logical_emit_message(false, '', ''); SELECT pg_switch_wal()");
}

describe('a shard whose volume is full', () => {
  it.skipIf(!isMounted)(
    'says so as it ends and at every start, and serves its rows when there is room',
    async () => {
      const ended = Promise.withResolvers<ServerExit>();
      const onDeath = (_name: string, exit: ServerExit) => ended.resolve(exit);
      await using server = await startEmbeddedPostgres({
        dataDirectory: data,
        name: 'full',
        onDeath,
      });
      const ask = async (sql: string) => {
        const client = new pg.Client({ connectionString: server.url() });
        await client.connect();
        const { rows } = await client.query(sql);
        await client.end();
        return rows;
      };
      await ask('CREATE TABLE accounts (id bigint PRIMARY KEY); INSERT INTO accounts VALUES (7)');
      execFileSync('sh', ['-c', `cat /dev/zero > ${filler} 2>/dev/null; truncate -s -${ROOM_LEFT_BYTES} ${filler}`]);
      writeUntilItEnds(server).catch(() => undefined);
      const exit = await withinDeadline(systemClock, ENDS_WITHIN_MS, ended.promise).catch((cause: unknown) => {
        throw new Error(`the server lives on: ${readFileSync(path.join(data, LOG_FILE), 'utf8')}`, { cause });
      });
      const told = postgresEnding({ exitCode: exit.code ?? -1, message: exit.logTail });
      expect(told.reason).toBe('VolumeFull');
      expect(told.message).toContain('No space left on device; enlarge spec.shards.storage.size');
      const again = await server.start().catch((error: unknown) => error);
      // In the same words, or each try would be news.
      expect(postgresEnding({ exitCode: 1, message: String(again) })).toEqual(told);

      rmSync(filler);
      await server.start();
      expect(await ask('SELECT id FROM accounts')).toEqual([{ id: '7' }]);
    },
    TIMEOUT_MS,
  );
});
