// DRAIN under load loses nothing, ends in Clean, and RESUME takes it back; the HTTP port says the same as SHOW STATUS.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PROXY_METRICS } from '../../../src/telemetry/metrics-table.ts';
import { type Shards, startShards } from '../../support/postgres.ts';
import { FileProxy } from '../../support/proxy-from-file.ts';

/** The machine may be busy; what never comes still fails. */
const PATIENCE = { timeout: 30_000 };

let shards: Shards;

beforeAll(async () => {
  shards = await startShards(2);
});

afterAll(async () => {
  await shards?.[Symbol.asyncDispose]();
});

const get = async (proxy: FileProxy, path: string) => {
  const response = await fetch(`http://127.0.0.1:${proxy.running.httpPort}${path}`);
  return { status: response.status, body: await response.text() };
};
const http = { http: { host: '127.0.0.1', port: 0 } };

describe('DRAIN', () => {
  it('under load: what was acknowledged is there, what was refused is not, and the log ends clean', async () => {
    await using proxy = await FileProxy.start(shards, http);
    const admin = await proxy.admin();
    const setup = await proxy.client();
    await setup.query('CREATE TABLE entries (account_id bigint, id text)');
    await setup.end();
    const told = new Map<string, 'committed' | 'refused'>();
    const load = Array.from({ length: 4 }, async (_, worker) => {
      const client = await proxy.client();
      for (let turn = 0; client.ended.length === 0; turn++) {
        const id = `${worker}.${turn}`;
        try {
          await client.query('BEGIN');
          for (let key = 0; key < 8; key++)
            await client.query(`INSERT INTO entries (account_id, id) VALUES (${key}, '${id}')`);
          await client.query('COMMIT');
          told.set(id, 'committed');
        } catch {
          told.set(id, 'refused');
          return;
        }
      }
    });
    await expect.poll(() => told.size, PATIENCE).toBeGreaterThan(20);
    await admin.query('DRAIN');
    expect(['Draining', 'Clean']).toContain((await admin.query('SHOW STATUS')).rows[0].state);
    await expect(proxy.client()).rejects.toMatchObject({ code: '57P01' });
    await Promise.all(load);
    await expect.poll(async () => (await admin.query('SHOW STATUS')).rows[0].state, PATIENCE).toBe('Clean');
    const rows = (await Promise.all([0, 1].map((shard) => shards.query(shard, 'SELECT id FROM entries')))).flat();
    const counts = Map.groupBy(rows, ({ id }) => id as string);
    for (const [id, outcome] of told)
      expect([id, counts.get(id)?.length ?? 0]).toEqual([id, outcome === 'committed' ? 8 : 0]);
    expect([...counts.keys()].filter((id) => !told.has(id))).toEqual([]);
    expect((await admin.query('SHOW PREPARED')).rows).toEqual([]);
    const [status] = (await admin.query('SHOW STATUS')).rows;
    expect(status).toMatchObject({ clients: 0, running: 0, in_doubt: 0, ready: false, not_ready_reason: 'draining' });
    expect(status.applied).toBe(status.committed);
  });

  it('waits for an open transaction, tells /readyz why, and RESUME takes it back', async () => {
    await using proxy = await FileProxy.start(shards, http);
    const admin = await proxy.admin();
    const idle = await proxy.client();
    const busy = await proxy.client();
    await busy.query('BEGIN');
    await busy.query('SELECT 1');
    expect(await get(proxy, '/readyz')).toEqual({ status: 200, body: 'ok\n' });
    await admin.query('DRAIN');
    await expect.poll(() => idle.ended, PATIENCE).toEqual(['57P01']);
    expect(await get(proxy, '/readyz')).toEqual({ status: 503, body: 'draining\n' });
    expect(await get(proxy, '/livez')).toEqual({ status: 200, body: 'ok\n' });
    expect((await admin.query('SHOW STATUS')).rows[0]).toMatchObject({ state: 'Draining', running: 1 });
    await admin.query('RESUME');
    expect((await admin.query('SHOW STATUS')).rows[0]).toMatchObject({ state: 'Active', ready: true });
    await busy.query('COMMIT');
    expect((await busy.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    await proxy.client();
    expect(await get(proxy, '/readyz')).toEqual({ status: 200, body: 'ok\n' });
  });

  it('/metrics has every metric of the table, in lines that Prometheus reads', async () => {
    await using proxy = await FileProxy.start(shards, http);
    const { status, body } = await get(proxy, '/metrics');
    expect(status).toBe(200);
    for (const [name, { type }] of Object.entries(PROXY_METRICS)) expect(body).toContain(`# TYPE ${name} ${type}\n`);
    const value = /^[a-z_]+(\{([a-z]+="([^"\\\n]|\\.)*",?)+\})? (-?[0-9.]+(e[+-]?[0-9]+)?|[+-]Inf|NaN)$/;
    const samples = body.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    expect(samples.filter((line) => !value.test(line))).toEqual([]);
    expect(samples).toContain('atomshard_state{state="Active"} 1');
    expect(samples).toContain('atomshard_shard_reachable{shard="shard-1"} 1');
  });

  it('is not Clean while a shard cannot be asked', async () => {
    const [first] = shards.shards;
    const gone = { name: 'shard-1', host: '127.0.0.1', port: 1, database: 'postgres' };
    await using proxy = await FileProxy.start(shards, {
      shards: [{ name: 'shard-0', host: first?.host ?? '', port: first?.port ?? 0, database: 'postgres' }, gone],
    });
    const admin = await proxy.admin();
    await admin.query('DRAIN');
    const { rows } = await admin.query('RECOVER');
    expect(rows[0].unreachable_shards).toBe('shard-1');
    expect((await admin.query('SHOW STATUS')).rows[0].state).toBe('Draining');
  });
});
