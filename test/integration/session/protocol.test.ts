// The protocol message by message, on three real shards: what comes back, in which order, with which transaction status.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  bind,
  close,
  describe as describeMessage,
  execute,
  FLUSH,
  parse,
  query,
  SYNC,
} from '../../../src/protocol/client-message-writer.ts';
import { type Shards, startShards } from '../../support/postgres.ts';
import { startTestProxy, type TestProxy } from '../../support/proxy-in-process.ts';
import { WireClient } from '../../support/wire-client.ts';

let shards: Shards;
let proxy: TestProxy;
/** One id on each shard. */
const idOn: number[] = [];

beforeAll(async () => {
  shards = await startShards(3);
  proxy = await startTestProxy(shards);
  const client = await proxy.client();
  await client.query('CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint NOT NULL)');
  for (let id = 1; id <= 30; id++) await client.query(`INSERT INTO accounts (id, balance) VALUES (${id}, 100)`);
  for (const shard of [0, 1, 2])
    idOn.push(Number((await shards.query(shard, 'SELECT min(id) AS id FROM accounts'))[0]?.id));
});

afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await shards[Symbol.asyncDispose]();
});

const login = () => WireClient.login(proxy.port);
const text = (value: string | number) => Buffer.from(String(value));
const SELECT = 'SELECT balance FROM accounts WHERE id = $1::bigint';
const UPDATE = 'UPDATE accounts SET balance = balance + 1 WHERE id = $1::bigint';

function call(name: string, value: string | number, portal = ''): Buffer[] {
  return [bind({ portal, statement: name, values: [text(value)] }), execute(portal)];
}

describe('extended protocol', () => {
  it('one batch: Parse, Bind, Describe, Execute, Sync', async () => {
    const client = await login();
    client.send(
      parse('', SELECT),
      bind({ values: [text(idOn[0] ?? 1)] }),
      describeMessage('portal', ''),
      execute(),
      SYNC,
    );
    expect(await client.ready()).toMatchObject({ replies: '1 2 T D C Z(I)', rows: [['100']] });
    client.end();
  });

  it('a named statement is described before it is bound, and used on every shard', async () => {
    const client = await login();
    client.send(parse('s', SELECT), describeMessage('statement', 's'), SYNC);
    expect((await client.ready()).replies).toBe('1 t T Z(I)');
    for (const id of idOn) {
      client.send(...call('s', id), SYNC);
      expect((await client.ready()).replies).toBe('2 D C Z(I)');
    }
    client.end();
  });

  it('Flush gets the replies so far without ending anything', async () => {
    const client = await login();
    client.send(parse('', SELECT), describeMessage('statement', ''), FLUSH);
    await client.until((replies) => replies.includes('T'));
    expect(client.take().replies).toBe('1 t T');
    client.send(...call('', idOn[1] ?? 1), SYNC);
    expect((await client.ready()).replies).toBe('2 D C Z(I)');
    client.end();
  });

  it('several executions before one Sync, on different shards, are one transaction', async () => {
    const client = await login();
    client.send(parse('u', UPDATE), ...idOn.flatMap((id) => call('u', id)), SYNC);
    expect((await client.ready()).replies).toBe('1 2 C 2 C 2 C Z(I)');
    client.send(...idOn.flatMap((id) => call('u', id)), parse('', 'SELECT 1/0'), bind({ values: [] }), execute(), SYNC);
    const failed = await client.ready();
    expect(failed.replies).toBe('2 C 2 C 2 C 1 E Z(I)');
    for (const shard of [0, 1, 2]) {
      expect(await shards.query(shard, `SELECT balance FROM accounts WHERE id = ${idOn[shard]}`)).toEqual([
        { balance: '101' },
      ]);
    }
    client.send(query('UPDATE accounts SET balance = 100'));
    await client.ready();
    client.end();
  });

  it('an error skips everything up to Sync, and the statement behind it does not exist', async () => {
    const client = await login();
    client.send(
      parse('bad', 'SELECT nothing FROM accounts WHERE id = 1'),
      parse('later', SELECT),
      ...call('later', 1),
      SYNC,
    );
    expect((await client.ready()).replies).toBe('E Z(I)');
    client.send(parse('later', SELECT), ...call('later', 1), SYNC);
    expect((await client.ready()).replies).toBe('1 2 D C Z(I)');
    client.end();
  });

  it('BEGIN, statements and COMMIT in one pipeline, each with its own Sync', async () => {
    const client = await login();
    const begin = [parse('', 'BEGIN'), bind({ values: [] }), describeMessage('portal', ''), execute(), SYNC];
    const commit = [parse('', 'COMMIT'), bind({ values: [] }), execute(), SYNC];
    client.send(
      ...begin,
      parse('', UPDATE),
      ...call('', idOn[0] ?? 1),
      SYNC,
      parse('', UPDATE),
      ...call('', idOn[1] ?? 1),
      SYNC,
      ...commit,
    );
    expect((await client.ready(4)).replies).toBe('1 2 n C Z(T) 1 2 C Z(T) 1 2 C Z(T) 1 2 C Z(I)');
    client.end();
  });

  it('portals give rows in portions inside a transaction', async () => {
    const client = await login();
    client.send(query('BEGIN'));
    await client.ready();
    client.send(
      parse('', '/* atomshard: shard=0 */ SELECT id FROM accounts'),
      bind({ portal: 'p', values: [] }),
      execute('p', 2),
      SYNC,
    );
    expect((await client.ready()).replies).toBe('1 2 D D s Z(T)');
    client.send(execute('p', 1), close('portal', 'p'), SYNC);
    expect((await client.ready()).replies).toBe('D s 3 Z(T)');
    client.send(query('ROLLBACK'));
    expect((await client.ready()).replies).toBe('C Z(I)');
    client.end();
  });

  it('a portal over Flush lives until Sync, outside a transaction too', async () => {
    const client = await login();
    client.send(
      parse('', '/* atomshard: shard=0 */ SELECT id FROM accounts'),
      bind({ portal: 'p', values: [] }),
      execute('p', 2),
      FLUSH,
    );
    await client.until((replies) => replies.includes('s'));
    client.take();
    client.send(execute('p', 2), SYNC);
    expect((await client.ready()).replies).toBe('D D s Z(I)');
    client.end();
  });

  it('rows of several shards come under one description and one tag', async () => {
    const client = await login();
    client.send(
      parse('', 'SELECT id FROM accounts WHERE balance >= $1::bigint'),
      bind({ values: [text(0)] }),
      describeMessage('portal', ''),
      execute(),
      SYNC,
    );
    const { replies, rows } = await client.ready();
    expect(rows).toHaveLength(30);
    expect(replies).toBe(`1 2 T ${'D '.repeat(30)}C Z(I)`);
    client.end();
  });

  it('PgDog: a statement that fails on all shards sends its error once', async () => {
    const client = await login();
    client.send(query('SELECT id, 1/(balance-balance) FROM accounts'));
    const { replies, errors } = await client.ready();
    expect(errors).toHaveLength(1);
    expect(replies.endsWith('E Z(I)')).toBe(true);
    client.end();
  });

  it('closing a statement frees its name; a name twice is an error', async () => {
    const client = await login();
    client.send(parse('s', SELECT), parse('s', SELECT), SYNC);
    const twice = await client.ready();
    expect(twice.replies).toBe('1 E Z(I)');
    expect(twice.errors[0]?.code).toBe('42P05');
    client.send(close('statement', 's'), parse('s', UPDATE), SYNC);
    expect((await client.ready()).replies).toBe('3 1 Z(I)');
    client.end();
  });

  it('an unknown statement, an unknown portal and a function call are refused by name', async () => {
    const client = await login();
    client.send(...call('ghost', 1), SYNC);
    expect((await client.ready()).errors[0]?.code).toBe('26000');
    client.send(execute('ghost'), SYNC);
    expect((await client.ready()).errors[0]?.code).toBe('34000');
    client.send(Buffer.from([0x46, 0, 0, 0, 14, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]));
    expect((await client.ready()).errors[0]?.code).toBe('0A000');
    client.end();
  });
});

describe('simple protocol', () => {
  it('an empty query is answered as one', async () => {
    const client = await login();
    client.send(query(''), query('  -- nothing\n'));
    expect((await client.ready(2)).replies).toBe('I Z(I) I Z(I)');
    client.end();
  });

  it('pipelined queries are answered in order', async () => {
    const client = await login();
    client.send(...idOn.map((id) => query(`SELECT ${id} + id FROM accounts WHERE id = ${id}`)));
    const { rows, replies } = await client.ready(3);
    expect(rows).toEqual(idOn.map((id) => [String(id * 2)]));
    expect(replies).toBe('T D C Z(I) T D C Z(I) T D C Z(I)');
    client.end();
  });

  it('a Query with its own BEGIN and COMMIT ends idle, one with only BEGIN does not', async () => {
    const client = await login();
    client.send(
      query(
        `BEGIN; UPDATE accounts SET balance = 100 WHERE id = ${idOn[0]}; UPDATE accounts SET balance = 100 WHERE id = ${idOn[1]}; COMMIT`,
      ),
    );
    expect((await client.ready()).replies).toBe('C C C C Z(I)');
    client.send(query('BEGIN; SELECT 1'));
    expect((await client.ready()).replies).toBe('C T D C Z(T)');
    client.send(query('SELEC'), query('ROLLBACK'));
    expect((await client.ready(2)).replies).toBe('E Z(E) C Z(I)');
    client.end();
  });

  it('a Query after messages without Sync ends their implicit transaction, and is skipped when they failed', async () => {
    const client = await login();
    client.send(parse('', UPDATE), ...call('', idOn[0] ?? 1), query('SELECT 1'));
    expect((await client.ready()).replies).toBe('1 2 C T D C Z(I)');
    client.send(execute('ghost'), query('SELECT 1'), SYNC);
    expect((await client.ready()).replies).toBe('E Z(I)');
    client.end();
  });

  it('warnings of BEGIN inside a block and COMMIT outside come as in PostgreSQL', async () => {
    const client = await login();
    client.send(query('COMMIT'), query('BEGIN'), query('BEGIN'), query('ROLLBACK'));
    expect((await client.ready(4)).replies).toBe('N C Z(I) C Z(T) N C Z(T) C Z(I)');
    client.end();
  });
});
