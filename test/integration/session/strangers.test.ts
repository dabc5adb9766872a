// Habits of drivers that we did not write, message by message: each was seen to fail before it was allowed to stay.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  bind,
  COPY_DONE,
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

beforeAll(async () => {
  shards = await startShards(2);
  proxy = await startTestProxy(shards);
  const client = await proxy.client();
  await client.query('CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint NOT NULL)');
  for (let id = 1; id <= 20; id++) await client.query(`INSERT INTO accounts (id, balance) VALUES (${id}, 100)`);
});

afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await shards[Symbol.asyncDispose]();
});

const login = (parameters: Record<string, string> = {}) => WireClient.login(proxy.port, parameters);

describe('asyncpg', () => {
  it.each(["'utf-8'", 'utf-8', 'UTF8', 'utf_8', 'unicode', '"UTF8"'])(
    'client_encoding may be written %s',
    async (encoding) => {
      const client = await login({ client_encoding: encoding });
      client.send(query('SHOW client_encoding'));
      expect(await client.ready()).toMatchObject({ replies: 'T D C Z(I)', rows: [['UTF8']] });
      client.end();
    },
  );
});

describe('pg-cursor', () => {
  it('a portal over several shards is described before it is executed, and nothing else is said', async () => {
    const client = await login();
    client.send(parse('', 'SELECT id FROM accounts'), bind({ portal: 'C_1' }), describeMessage('portal', 'C_1'), FLUSH);
    await client.until((replies) => replies.includes('T'));
    client.send(execute('C_1'), SYNC);
    const { replies, rows } = await client.ready();
    expect(replies.replaceAll(/( D)+/g, ' D…')).toBe('1 2 T D… C Z(I)');
    expect(rows).toHaveLength(20);
    client.end();
  });

  it('an empty statement is still answered as one', async () => {
    const client = await login();
    client.send(parse('', ''), bind({}), describeMessage('portal', ''), execute(''), SYNC);
    expect((await client.ready()).replies).toBe('1 2 n I Z(I)');
    client.end();
  });
});

describe('COPY TO over several shards', () => {
  it('is one copy: one beginning, one end, the sum as tag', async () => {
    const client = await login();
    client.send(query('COPY accounts (id) TO STDOUT'));
    const { replies } = await client.ready();
    expect(replies.replaceAll(/( d)+/g, (lines) => ` ${lines.length / 2}d`)).toBe('H 20d c C Z(I)');
    client.end();
  });

  it('also in the extended protocol', async () => {
    const client = await login();
    client.send(parse('', 'COPY accounts (id) TO STDOUT'), bind({}), describeMessage('portal', ''), execute(''), SYNC);
    const { replies } = await client.ready();
    expect(replies.replaceAll(/( d)+/g, (lines) => ` ${lines.length / 2}d`)).toBe('1 2 n H 20d c C Z(I)');
    client.end();
  });
});

describe('psycopg', () => {
  it('a cursor of DECLARE is described and closed as a portal of its name', async () => {
    const client = await login();
    client.send(query('BEGIN'), query('DECLARE "Cur" CURSOR FOR SELECT id, balance FROM accounts WHERE id = 7'));
    await client.ready(2);
    client.send(describeMessage('portal', 'Cur'), SYNC);
    expect((await client.ready()).replies).toBe('T Z(T)');
    client.send(execute('Cur'), SYNC);
    expect(await client.ready()).toMatchObject({ replies: 'D C Z(T)', rows: [['7', '100']] });
    client.send(query('CLOSE "Cur"; COMMIT'));
    expect((await client.ready()).replies).toBe('C C Z(I)');
    client.end();
  });

  it('FETCH with parameters of the protocol finds the cursor on a shard that joined second', async () => {
    const [first, second] = await Promise.all(
      [0, 1].map(async (shard) => Number((await shards.query(shard, 'SELECT min(id) AS id FROM accounts'))[0]?.id)),
    );
    const client = await login();
    client.send(query('BEGIN'), query(`SELECT FROM accounts WHERE id = ${first}`));
    await client.ready(2);
    client.send(parse('', 'DECLARE c CURSOR FOR SELECT id FROM accounts WHERE id = $1'));
    client.send(bind({ values: [Buffer.from(String(second))] }), execute(''), SYNC);
    expect((await client.ready()).replies).toBe('1 2 C Z(T)');
    client.send(parse('', 'FETCH FORWARD 5 FROM c'), bind({}), describeMessage('portal', ''), execute(''), SYNC);
    expect(await client.ready()).toMatchObject({ replies: '1 2 T D C Z(T)', rows: [[String(second)]] });
    client.send(parse('', 'CLOSE c'), bind({}), execute(''), SYNC, query('COMMIT'));
    expect((await client.ready(2)).replies).toBe('1 2 C Z(T) C Z(I)');
    client.end();
  });
});

describe('DDL under prepared statements', () => {
  const call = () => [bind({ statement: 's', values: [Buffer.from('1')] }), execute(''), SYNC];
  const prepare = (name = 's') => [
    parse(name, 'SELECT * FROM accounts WHERE id = $1'),
    describeMessage('statement', name),
    SYNC,
  ];

  it('a statement whose rows look otherwise is refused, for drivers decode by what they were told', async () => {
    const client = await login();
    client.send(...prepare(), ...call());
    expect((await client.ready(2)).replies).toBe('1 t T Z(I) 2 D C Z(I)');
    const other = await proxy.client();
    await other.query('ALTER TABLE accounts ADD COLUMN extra integer');
    for (let i = 0; i < 2; i++) {
      client.send(...call());
      const { replies, errors } = await client.ready();
      expect(replies).toBe('E Z(I)');
      // asyncpg and pgjdbc know it by the routine, and prepare again.
      expect(errors).toMatchObject([{ code: '0A000', other: { R: 'RevalidateCachedQuery' } }]);
    }
    client.send(close('statement', 's'), ...prepare(), ...call());
    expect(await client.ready(2)).toMatchObject({ replies: '3 1 t T Z(I) 2 D C Z(I)', rows: [['1', '100', null]] });
    await other.query('CREATE INDEX accounts_extra ON accounts (extra)');
    client.send(...call());
    expect((await client.ready()).replies).toBe('2 D C Z(I)');
    await other.query('ALTER TABLE accounts DROP COLUMN extra');
    client.end();
  });

  it('after DDL on the shards themselves a driver that prepares again is served', async () => {
    const client = await login();
    client.send(...prepare(), ...call());
    await client.ready(2);
    await shards.exec('ALTER TABLE accounts ADD COLUMN elsewhere integer');
    client.send(...call());
    expect((await client.ready()).errors).toMatchObject([{ code: '0A000' }]);
    client.send(close('statement', 's'), ...prepare(), ...call());
    expect((await client.ready(2)).replies).toBe('3 1 t T Z(I) 2 D C Z(I)');
    await shards.exec('ALTER TABLE accounts DROP COLUMN elsewhere');
    client.end();
  });
});

describe('set_config()', () => {
  const show = async (client: WireClient, name: string) => {
    const seen = new Set<string>();
    for (let i = 1; i <= 8; i++) {
      client.send(query(`SELECT current_setting('${name}', true) FROM accounts WHERE id = ${i}`));
      seen.add(String((await client.ready()).rows[0]?.[0]));
    }
    return [...seen];
  };

  it('asyncpg turns jit off and on around its look at the types', async () => {
    const client = await login();
    const text = "SELECT current_setting('jit') AS cur, set_config('jit', 'off', false) AS new";
    client.send(parse('', text), describeMessage('statement', ''), FLUSH);
    await client.until((replies) => replies.includes('T'));
    client.take();
    client.send(bind({}), execute(''), SYNC);
    expect(await client.ready()).toMatchObject({ replies: '2 D C Z(I)', rows: [['on', 'off']] });
    expect(await show(client, 'jit')).toEqual(['off']);
    client.send(
      parse('', "SELECT set_config('jit', $1, false)"),
      bind({ values: [Buffer.from('on')] }),
      execute(''),
      SYNC,
    );
    expect((await client.ready()).replies).toBe('1 2 D C Z(I)');
    expect(await show(client, 'jit')).toEqual(['on']);
    client.end();
  });

  it('a local one holds on every shard of its transaction and no longer, and is nobody else’s', async () => {
    const client = await login();
    client.send(query('BEGIN'), query("SELECT set_config('app.tenant', 'it''s ' || 1, true)"));
    expect((await client.ready(2)).rows).toEqual([["it's 1"]]);
    expect(await show(client, 'app.tenant')).toEqual(["it's 1"]);
    client.send(query('COMMIT'));
    await client.ready();
    expect(await show(client, 'app.tenant')).not.toContain("it's 1");
    client.send(query("SELECT set_config('app.tenant', 'mine', false)"));
    expect((await client.ready()).replies).toBe('T D C Z(I)');
    expect(await show(client, 'app.tenant')).toEqual(['mine']);
    const other = await login();
    expect(await show(other, 'app.tenant')).not.toContain('mine');
    other.end();
    client.end();
  });

  it.each([
    "SELECT set_config('search_path', '', false)",
    "SELECT set_config('application_name', 'x', false)",
    "SELECT set_config('a.' || 'b', 'x', false)",
  ])('%s is refused', async (text) => {
    const client = await login();
    client.send(query(text));
    expect(await client.ready()).toMatchObject({ replies: 'E Z(I)', errors: [{ code: '0A000' }] });
    client.end();
  });
});

describe('pgjdbc', () => {
  it('reads primary keys with information_schema._pg_expandarray()', async () => {
    const client = await login();
    client.send(
      query(
        `SELECT a.attname FROM (SELECT i.indrelid, (information_schema._pg_expandarray(i.indkey)).* FROM pg_catalog.pg_index i
         WHERE i.indisprimary) AS k JOIN pg_catalog.pg_attribute a ON a.attrelid = k.indrelid AND a.attnum = k.x
         JOIN pg_catalog.pg_class c ON c.oid = k.indrelid WHERE c.relname = 'accounts'`,
      ),
    );
    expect(await client.ready()).toMatchObject({ replies: 'T D C Z(I)', rows: [['id']] });
    client.end();
  });
});

describe('psql', () => {
  it('LOCK outside a transaction block is an error, not a lock that is gone at once', async () => {
    const client = await login();
    client.send(query('LOCK TABLE accounts'));
    expect(await client.ready()).toMatchObject({ replies: 'E Z(I)', errors: [{ code: '25P01' }] });
    client.end();
  });

  it('SHOW application_name shows the client’s own', async () => {
    const client = await login({ application_name: 'mine' });
    client.send(query('SHOW application_name'));
    expect(await client.ready()).toMatchObject({ replies: 'T D C Z(I)', rows: [['mine']] });
    client.send(query("BEGIN; SET application_name = 'other'; SHOW application_name; COMMIT"));
    expect((await client.ready()).rows).toEqual([['other']]);
    client.send(parse('', 'SHOW application_name'), bind({}), describeMessage('portal', ''), execute(''), SYNC);
    expect(await client.ready()).toMatchObject({ replies: '1 2 T D C Z(I)', rows: [['other']] });
    client.end();
  });
});

describe('COPY FROM', () => {
  const COPY = '/* atomshard: shard=0 */ COPY currencies FROM STDIN';
  const copyData = (line: string) => {
    const frame = Buffer.alloc(5 + line.length);
    frame.write(`d\0\0\0\0${line}`, 'latin1');
    frame.writeUInt32BE(4 + line.length, 1);
    return frame;
  };

  it('whose rows come in the same packet as the Query', async () => {
    await (await proxy.client()).query('CREATE TABLE currencies (code text PRIMARY KEY)');
    const client = await login();
    client.send(query(COPY), copyData('EUR\n'), copyData('CHF\n'), COPY_DONE, query('SELECT 1'));
    expect((await client.ready(2)).replies).toBe('G C Z(I) T D C Z(I)');
    client.end();
  });

  it('whose client hangs up gives its connection back: a server does not hear a cancel while it waits for rows', async () => {
    const waiting =
      "SELECT count(*)::int AS n FROM pg_stat_activity WHERE query LIKE '%COPY currencies FROM%' AND pid <> pg_backend_pid() AND state = 'active'";
    for (const early of [true, false]) {
      const client = await login();
      client.send(query(COPY));
      if (!early) await client.until((replies) => replies.includes('G'));
      client.end();
    }
    await expect.poll(async () => (await shards.query<{ n: number }>(0, waiting))[0]?.n, { timeout: 5_000 }).toBe(0);
  });

  it('is a write like any other in a transaction over several shards', async () => {
    const second = Number((await shards.query(1, 'SELECT min(id) AS id FROM accounts'))[0]?.id);
    const client = await login();
    client.send(query('BEGIN'), query(`UPDATE accounts SET balance = 7 WHERE id = ${second}`), query(COPY));
    await client.until((replies) => replies.includes('G'));
    client.take();
    client.send(copyData('USD\n'), COPY_DONE, query('COMMIT'));
    expect((await client.ready(2)).replies).toBe('C Z(T) C Z(I)');
    expect(await shards.query(0, "SELECT count(*)::int AS n FROM currencies WHERE code = 'USD'")).toEqual([{ n: 1 }]);
    client.end();
  });
});
