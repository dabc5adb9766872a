// The watch over the shards' tables: what many shards' answers come to, and when they are asked.
import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { CatalogWatch, LOOK_INTERVAL_MS } from '../../../src/proxy/catalog-watch.ts';
import { keyMismatch, readShardTables, type ShardedTable, tableFacts } from '../../../src/proxy/shard-tables.ts';
import type { TableCatalog } from '../../../src/routing/table-catalog.ts';
import { buildTopology, type KeyType } from '../../../src/routing/topology.ts';
import type { CommandReply } from '../../../src/shard/branch-link.ts';
import { createLog } from '../../../src/telemetry/log.ts';
import { ManualClock } from '../../support/manual-clock.ts';

type Row = [string, string, string, string];
const row = (columns: [string, number][], kind = 'r', deterministic = true): Row => [
  'public',
  'accounts',
  kind,
  JSON.stringify(columns.map(([name, oid]) => [name, oid, `type ${oid}`, deterministic])),
];
const rule = (type: KeyType = 'bigint'): ShardedTable => ({
  kind: 'sharded',
  schema: 'public',
  name: 'accounts',
  key: 'id',
  type,
});
const seen = (...rows: Row[]) => readShardTables(rows);
const told = (...shards: Row[][]) =>
  tableFacts([rule()], new Map(shards.map((rows, index) => [`shard-${index}`, seen(...rows)]))).get('public.accounts');

const PLAIN: [string, number][] = [
  ['id', 20],
  ['balance', 20],
];

describe('what the shards’ answers come to', () => {
  it('columns are known when every shard that was seen shows the same', () => {
    expect(told([row(PLAIN)], [row(PLAIN)])).toEqual({ kind: 'known', columns: ['id', 'balance'] });
    expect(told([row(PLAIN)], [row(PLAIN.toReversed())])).toMatchObject({ kind: 'unknown', disputed: true });
    expect(told([row(PLAIN)], [row([...PLAIN, ['x', 25]])])).toMatchObject({ kind: 'unknown', disputed: true });
    expect(told([row(PLAIN)], [])).toMatchObject({ kind: 'unknown', disputed: true });
    expect(told([], [])).toMatchObject({ kind: 'unknown', disputed: false });
    expect(told()).toMatchObject({ kind: 'unknown', disputed: false });
  });

  it('one shard with a wrong key is enough, whatever the others show', () => {
    expect(told([row(PLAIN)], [row([['id', 25]])], [])).toMatchObject({ kind: 'mismatch' });
  });

  it.each<[KeyType, number, boolean]>([
    ['bigint', 20, true],
    ['bigint', 23, true],
    ['smallint', 20, true],
    ['integer', 1700, false],
    ['bigint', 25, false],
    ['text', 25, true],
    ['text', 1043, false],
    ['text', 1042, false],
    ['text', 20, false],
    ['varchar', 1043, true],
    ['varchar', 25, true],
    ['uuid', 2950, true],
    ['uuid', 25, false],
    ['bigint', 16_500, false],
  ])('a key listed as %s on a column of type %i: fits is %s', (type, oid, fits) => {
    const table = seen(row([['id', oid]])).get('public.accounts');
    expect(table !== undefined && keyMismatch(rule(type), table) === undefined).toBe(fits);
  });

  it('a relation without rows, without the key or with a collation of its own mind is refused', () => {
    const why = (made: Row, type: KeyType = 'text') => {
      const table = seen(made).get('public.accounts');
      return table === undefined ? undefined : keyMismatch(rule(type), table);
    };
    expect(why(row([['id', 25]], 'p'))).toBeUndefined();
    expect(why(row([['id', 25]], 'v'))).toBeUndefined();
    expect(why(row([['id', 25]], 'S'))).toContain('not a table');
    expect(why(row([['Id', 25]]))).toContain('no column');
    expect(why(row([['id', 25]], 'r', false))).toContain('not deterministic');
  });
});

/** Two shards whose answers a test sets. */
class Ground {
  readonly clock = new ManualClock();
  readonly adopted: TableCatalog[] = [];
  asked = 0;
  answers: (Row[] | undefined)[] = [[row(PLAIN)], [row(PLAIN)]];
  /** While set, answers wait for it. */
  gate: Promise<void> | undefined;
  readonly watch = new CatalogWatch({
    topology: buildTopology({ tables: [{ name: 'accounts', key: 'id', type: 'bigint' }] }, ['shard-0', 'shard-1']),
    sources: [0, 1].map((shard) => ({
      run: async (): Promise<CommandReply> => {
        if (shard === 0) this.asked += 1;
        const rows = this.answers[shard];
        await this.gate;
        return rows === undefined
          ? { kind: 'lost', lost: { reason: 'socket', message: 'gone' } }
          : { kind: 'complete', tag: 'SELECT', notices: [], rows };
      },
      close: async () => undefined,
    })),
    adopt: (catalog) => this.adopted.push(catalog),
    clock: this.clock,
    log: createLog('silent'),
  });

  get last(): [string | undefined, number[]] {
    const catalog = this.adopted.at(-1);
    return [catalog?.tables.get('public.accounts')?.kind, [...(catalog?.unseen ?? [])]];
  }
}

describe('when the shards are asked', () => {
  it('a shard that has never answered is unseen, and asked again soon', async () => {
    const ground = new Ground();
    ground.answers[1] = undefined;
    await ground.watch.start();
    expect(ground.last).toEqual(['known', [1]]);
    ground.answers[1] = [row([['id', 25]])];
    await ground.clock.pass(1_000);
    expect(ground.last).toEqual(['mismatch', []]);
    await ground.watch.close();
  });

  it('a shard that is silent now and then keeps what it showed, but not after DDL', async () => {
    const ground = new Ground();
    await ground.watch.start();
    ground.answers[1] = undefined;
    await ground.clock.pass(LOOK_INTERVAL_MS * 2);
    expect(ground.last).toEqual(['known', []]);
    await ground.watch.refresh();
    expect(ground.last).toEqual(['known', [1]]);
    ground.answers[0] = undefined;
    await ground.watch.refresh();
    expect(ground.last).toEqual(['unknown', [0, 1]]);
    await ground.watch.close();
  });

  it('a refresh waits for a look that began after it, not for one that was under way', async () => {
    const ground = new Ground();
    await ground.watch.start();
    let open = () => {};
    ground.gate = new Promise((resolve) => {
      open = resolve;
    });
    const early = ground.watch.refresh();
    await setImmediate();
    // The first look has read the old table already.
    ground.answers = [[row(PLAIN.toReversed())], [row(PLAIN.toReversed())]];
    const late = Promise.all([ground.watch.refresh(), ground.watch.refresh()]);
    open();
    await early;
    expect(ground.adopted.at(-1)?.tables.get('public.accounts')).toMatchObject({ columns: ['id', 'balance'] });
    await late;
    expect(ground.adopted.at(-1)?.tables.get('public.accounts')).toMatchObject({ columns: ['balance', 'id'] });
    expect(ground.asked, 'two refreshes share a look').toBe(3);
    await ground.watch.close();
  });

  it('doubts are followed by a look, but not by one each', async () => {
    const ground = new Ground();
    await ground.watch.start();
    for (let i = 0; i < 10; i++) ground.watch.doubt();
    await setImmediate();
    expect(ground.asked).toBe(1);
    await ground.clock.pass(1_000);
    const before = ground.asked;
    for (let i = 0; i < 10; i++) ground.watch.doubt();
    await setImmediate();
    await setImmediate();
    expect(ground.asked).toBe(before + 1);
    await ground.watch.close();
  });

  it('shards that differ are asked again sooner than those that agree', async () => {
    const ground = new Ground();
    ground.answers[1] = [];
    await ground.watch.start();
    expect(ground.last).toEqual(['unknown', []]);
    ground.answers[1] = [row(PLAIN)];
    await ground.clock.pass(1_001);
    expect(ground.last).toEqual(['known', []]);
    await ground.watch.close();
  });
});
