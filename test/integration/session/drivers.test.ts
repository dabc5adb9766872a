// The same work through three clients that speak the protocol differently: pg (simple and unnamed), postgres.js (describe
// first, pipelined) and psql where it is installed.
import { spawn, spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Shards, startShards } from '../../support/postgres.ts';
import { startTestProxy, type TestProxy } from '../../support/proxy-in-process.ts';

let shards: Shards;
let proxy: TestProxy;

beforeAll(async () => {
  shards = await startShards(2);
  proxy = await startTestProxy(shards);
  const client = await proxy.client();
  await client.query('CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint NOT NULL)');
  await client.query('CREATE TABLE devices (id uuid PRIMARY KEY, name text)');
  for (let id = 1; id <= 20; id++) await client.query(`INSERT INTO accounts (id, balance) VALUES (${id}, 100)`);
});

afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await shards[Symbol.asyncDispose]();
});

describe('pg', () => {
  it('named statements are prepared where they are needed and work on every shard', async () => {
    const clients = await Promise.all([proxy.client(), proxy.client(), proxy.client()]);
    for (let turn = 0; turn < 10; turn++) {
      for (const client of clients) {
        for (const id of [1, 2, 3, 4, 5]) {
          const { rows } = await client.query({
            name: 'by-id',
            text: 'SELECT id FROM accounts WHERE id = $1',
            values: [id],
          });
          expect(rows).toEqual([{ id: String(id) }]);
        }
      }
    }
  });

  it('a query that fails leaves the connection in step', async () => {
    const client = await proxy.client();
    await expect(client.query('SELECT * FROM nowhere WHERE id = $1', [1])).rejects.toMatchObject({
      code: expect.stringMatching(/^(42P01|0A000)$/),
    });
    await expect(client.query('SELEC 1')).rejects.toMatchObject({ code: '42601', position: '1' });
    expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
  });

  it('several statements in one Query are one transaction', async () => {
    const client = await proxy.client();
    await expect(
      client.query(
        'UPDATE accounts SET balance = 1 WHERE id = 1; UPDATE accounts SET balance = 1 WHERE id = 2; SELECT 1/0',
      ),
    ).rejects.toMatchObject({ code: '22012' });
    const { rows } = await client.query('SELECT balance FROM accounts WHERE id IN (1, 2)');
    expect(rows).toEqual([{ balance: '100' }, { balance: '100' }]);
    await client.query(
      'UPDATE accounts SET balance = 101 WHERE id = 1; UPDATE accounts SET balance = 99 WHERE id = 2;',
    );
    expect(
      (await client.query('SELECT balance FROM accounts WHERE id IN (1, 2)')).rows.map((row) => row.balance).toSorted(),
    ).toEqual(['101', '99']);
    await client.query('UPDATE accounts SET balance = 100');
  });
});

describe('postgres.js', () => {
  it('describes first, pipelines, and gets typed rows', async () => {
    const sql = proxy.sql(2);
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, i) => sql`SELECT id, balance FROM accounts WHERE id = ${i + 1}`),
    );
    expect(results.map(([row]) => row?.id)).toEqual(Array.from({ length: 20 }, (_, i) => String(i + 1)));
  });

  it('runs transactions over shards, with savepoints', async () => {
    const sql = proxy.sql();
    await sql.begin(async (tx) => {
      await tx`UPDATE accounts SET balance = balance - 10 WHERE id = 1`;
      await tx
        .savepoint(async (inner) => inner`UPDATE accounts SET balance = -1 WHERE id = ${'x'}`)
        .catch(() => undefined);
      for (const id of [2, 3, 4, 5, 6]) await tx`UPDATE accounts SET balance = balance + 2 WHERE id = ${id}`;
    });
    const rows = await sql`SELECT balance FROM accounts WHERE id IN (1, 2, 3, 4, 5, 6)`;
    expect(rows.map((row) => Number(row.balance)).reduce((a, b) => a + b)).toBe(600);
    await sql`UPDATE accounts SET balance = 100`;
  });

  it('sends uuid parameters in the form the server described', async () => {
    const sql = proxy.sql();
    const id = '0b8f6ac2-3c39-4f9a-9b0e-7b9c6a2d1e55';
    await sql`INSERT INTO devices ${sql({ id, name: 'tablet' })}`;
    expect(await sql`SELECT name FROM devices WHERE id = ${id}`).toMatchObject([{ name: 'tablet' }]);
  });

  it('a cursor reads one shard in portions', async () => {
    const sql = proxy.sql();
    const seen: number[] = [];
    await sql`/* atomshard: shard=0 */ SELECT id FROM accounts`.cursor(3, (rows) => {
      seen.push(rows.length);
    });
    const [total] = await shards.query<{ n: string }>(0, 'SELECT count(*) AS n FROM accounts');
    expect(seen.reduce((a, b) => a + b)).toBe(Number(total?.n));
  });
});

const psqlInstalled = spawnSync('psql', ['--version']).status === 0;

describe.skipIf(!psqlInstalled)('psql', () => {
  /** Not the synchronous form: the proxy lives in this very process. */
  async function psql(commands: readonly string[], input = ''): Promise<string> {
    const args = ['-X', '-A', '-t', '-v', 'ON_ERROR_STOP=1', proxy.url()];
    const child = spawn('psql', [...args, ...commands.flatMap((command) => ['-c', command])]);
    let output = '';
    child.stdout.on('data', (chunk) => (output += String(chunk)));
    child.stderr.on('data', (chunk) => (output += String(chunk)));
    child.stdin.end(input);
    await new Promise((resolve) => child.once('close', resolve));
    return output.trim();
  }

  it('runs statements, transactions and \\d', async () => {
    expect(await psql(['SELECT balance FROM accounts WHERE id = 3'])).toBe('100');
    expect(await psql(['BEGIN; UPDATE accounts SET balance = 7 WHERE id = 3; ROLLBACK'])).toContain('ROLLBACK');
    expect(await psql(['\\d accounts'])).toContain('balance|bigint');
    expect(await psql(['\\dt'])).toContain('accounts');
  });

  it('copies into one shard and out of it', async () => {
    const rows = '1000001\t5\n1000002\t6\n\\.\n';
    expect(await psql(['/* atomshard: shard=1 */ COPY accounts FROM STDIN'], rows)).toBe('COPY 2');
    const copied = await psql(['/* atomshard: shard=1 */ COPY (SELECT id FROM accounts WHERE id > 1000000) TO STDOUT']);
    expect(copied.split('\n').toSorted()).toEqual(['1000001', '1000002']);
    await psql(['/* atomshard: shard=1 */ DELETE FROM accounts WHERE id > 1000000']);
  });
});
