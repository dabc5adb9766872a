// Session settings follow the client through the pool: they are in force wherever its next statement runs, and nobody else
// sees them.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Shards, startShards } from '../../support/postgres.ts';
import { startTestProxy, type TestProxy } from '../../support/proxy-in-process.ts';
import { WireClient } from '../../support/wire-client.ts';

let shards: Shards;
let proxy: TestProxy;

beforeAll(async () => {
  shards = await startShards(2);
  // One connection per shard: every client meets the others' leftovers.
  proxy = await startTestProxy(shards, { pool: { size: 1 } });
});

afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await shards[Symbol.asyncDispose]();
});

const show = async (client: Awaited<ReturnType<TestProxy['client']>>, name: string) => {
  const both = [];
  for (const shard of [0, 1]) {
    both.push(
      (await client.query(`/* atomshard: shard=${shard} */ SELECT current_setting('${name}') AS value`)).rows[0].value,
    );
  }
  return both;
};

describe('settings', () => {
  it('SET is in force on every shard, for this client only, until RESET', async () => {
    const one = await proxy.client();
    const other = await proxy.client();
    await one.query("SET statement_timeout = '1234ms'");
    expect(await show(one, 'statement_timeout')).toEqual(['1234ms', '1234ms']);
    expect(await show(other, 'statement_timeout')).toEqual(['0', '0']);
    await one.query('RESET statement_timeout');
    expect(await show(one, 'statement_timeout')).toEqual(['0', '0']);
  });

  it('a rolled-back SET is forgotten, SET LOCAL ends with its transaction', async () => {
    const client = await proxy.client();
    await client.query('BEGIN');
    await client.query("SET work_mem = '5MB'");
    await client.query("SET LOCAL lock_timeout = '7s'");
    expect(await show(client, 'lock_timeout')).toEqual(['7s', '7s']);
    await client.query('ROLLBACK');
    expect(await show(client, 'work_mem')).toEqual(['4MB', '4MB']);
    await client.query('BEGIN');
    await client.query("SET work_mem = '6MB'");
    await client.query("SET LOCAL lock_timeout = '7s'");
    await client.query('COMMIT');
    expect(await show(client, 'work_mem')).toEqual(['6MB', '6MB']);
    expect(await show(client, 'lock_timeout')).toEqual(['0', '0']);
  });

  it('a value that PostgreSQL refuses is refused, and changes nothing', async () => {
    const client = await proxy.client();
    await expect(client.query("SET work_mem = 'much'")).rejects.toMatchObject({ code: '22023' });
    expect(await show(client, 'work_mem')).toEqual(['4MB', '4MB']);
  });

  it('startup parameters and options are in force; RESET goes back to them', async () => {
    const client = await proxy.client({ options: '-c statement_timeout=4321' });
    expect(await show(client, 'statement_timeout')).toEqual(['4321ms', '4321ms']);
    await client.query('SET statement_timeout = 1');
    await client.query('RESET statement_timeout');
    expect(await show(client, 'statement_timeout')).toEqual(['4321ms', '4321ms']);
  });

  it('the client is told of reported settings that change', async () => {
    const client = await proxy.client();
    const told: Record<string, string> = {};
    (client as unknown as { connection: NodeJS.EventEmitter }).connection.on(
      'parameterStatus',
      (status: { parameterName: string; parameterValue: string }) => {
        told[status.parameterName] = status.parameterValue;
      },
    );
    await client.query("SET TIME ZONE 'Asia/Tokyo'");
    expect(told).toEqual({ TimeZone: 'Asia/Tokyo' });
    expect(await show(client, 'TimeZone')).toEqual(['Asia/Tokyo', 'Asia/Tokyo']);
  });

  it('application_name stays the proxy’s on the shards, because recovery fences by it', async () => {
    const client = await proxy.client({ application_name: 'billing' });
    await client.query("SET application_name = 'other'");
    const [name] = await show(client, 'application_name');
    expect(name).toMatch(/^as1:test1:proxy-\d+\.\d+$/);
  });

  it('DISCARD ALL forgets settings', async () => {
    const client = await proxy.client();
    await client.query('SET statement_timeout = 99');
    await client.query('DISCARD ALL');
    expect(await show(client, 'statement_timeout')).toEqual(['0', '0']);
  });

  it('a search_path or encoding that routing could not honour is refused', async () => {
    const client = await proxy.client();
    await expect(client.query('SET search_path TO other')).rejects.toMatchObject({ code: '0A000' });
    await client.query('SET search_path TO public');
    await expect(client.query("SET client_encoding TO 'LATIN1'")).rejects.toMatchObject({ code: '0A000' });
    await expect(WireClient.login(proxy.port, { search_path: 'other' }).then((wire) => wire.closed)).resolves.toBe(
      true,
    );
  });

  it('SET atomshard.shard sends the session’s statements to one shard', async () => {
    const client = await proxy.client();
    await client.query('SET atomshard.shard = 1');
    const [{ port }] = (await client.query('SELECT inet_server_port() AS port')).rows;
    expect(port).toBe(shards.shard(1).port);
    await expect(client.query('SET atomshard.shard = 9')).rejects.toMatchObject({ code: '42704' });
    await client.query('RESET atomshard.shard');
  });
});
