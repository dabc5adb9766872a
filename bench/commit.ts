// Cross-shard commits: through the proxy against the same transactions by hand (2PC from `pg` and one forced record, forced
// in groups like ours), and one-shard transactions with two-phase commit on and off. Rounds alternate; medians are compared.
import { open } from 'node:fs/promises';
import path from 'node:path';
import pg from 'pg';
import type { Shards } from '../test/support/postgres.ts';
import {
  ACCOUNTS,
  CLIENTS,
  cpuMs,
  loadAccounts,
  logDirectory,
  median,
  perSecond,
  print,
  round,
  startBenchProxy,
  startDurableShards,
} from './rig.ts';

/** One file, one group at a time: everything that waits leaves in one write and one fdatasync. */
class ForcedRecords {
  readonly #file: Awaited<ReturnType<typeof open>>;
  #waiting: (() => void)[] = [];
  #busy = false;

  constructor(file: Awaited<ReturnType<typeof open>>) {
    this.#file = file;
  }

  append(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      if (!this.#busy) void this.#drain();
    });
  }

  async #drain(): Promise<void> {
    this.#busy = true;
    while (this.#waiting.length > 0) {
      const group = this.#waiting;
      this.#waiting = [];
      await this.#file.write(Buffer.alloc(200 * group.length, 'x'));
      await this.#file.datasync();
      for (const resolve of group) resolve();
    }
    this.#busy = false;
  }
}

/** Ids by shard, learned from the shards themselves. */
async function idsByShard(shards: Shards): Promise<number[][]> {
  const ids: number[][] = [];
  for (const shard of shards.shards.keys()) {
    ids.push((await shards.query<{ id: string }>(shard, 'SELECT id FROM accounts')).map((row) => Number(row.id)));
  }
  return ids;
}

const pick = (ids: readonly number[]): number => ids[Math.floor(Math.random() * ids.length)] ?? 1;
const ADD = 'UPDATE accounts SET balance = balance + $2 WHERE id = $1';
const named = (id: number, amount: number) => ({ name: 'add', text: ADD, values: [id, amount] });

async function connectAll(count: number, config: pg.ClientConfig): Promise<pg.Client[]> {
  const clients = Array.from({ length: count }, () => new pg.Client(config));
  await Promise.all(clients.map((client) => client.connect()));
  return clients;
}

export async function benchCommit({ quick }: { quick: boolean }): Promise<void> {
  const roundMs = quick ? 2_000 : 8_000;
  const rounds = quick ? 1 : 3;
  await using shards = await startDurableShards(2);
  await using on = await startBenchProxy(shards, 'commit-on');
  await using off = await startBenchProxy(shards, 'commit-off', {
    instance: 'proxy-1',
    twoPhaseCommit: { enabled: false },
  });
  await loadAccounts(shards, on.ready.port);
  const ids = await idsByShard(shards);
  const proxied = (port: number) => connectAll(CLIENTS, { host: '127.0.0.1', port, user: 'postgres', database: 'app' });
  const onClients = await proxied(on.ready.port);
  const offClients = await proxied(off.ready.port);
  const direct = await Promise.all(
    shards.shards.map((shard) =>
      connectAll(CLIENTS, { host: shard.host, port: shard.port, user: 'postgres', database: 'postgres' }),
    ),
  );
  const file = await open(path.join(logDirectory('by-hand'), 'records'), 'a');
  const records = new ForcedRecords(file);
  let serial = 0;

  const throughProxy = (clients: readonly pg.Client[]) => async (worker: number) => {
    const client = clients[worker] as pg.Client;
    await client.query('BEGIN');
    await client.query(named(pick(ids[0] ?? []), -1));
    await client.query(named(pick(ids[1] ?? []), 1));
    await client.query('COMMIT');
  };
  const byHand = async (worker: number) => {
    const pair = direct.map((clients) => clients[worker] as pg.Client);
    const gid = `bench-${process.pid}-${serial++}`;
    await Promise.all(pair.map((client) => client.query('BEGIN')));
    for (const [index, client] of pair.entries())
      await client.query(named(pick(ids[index] ?? []), index === 0 ? -1 : 1));
    await Promise.all(pair.map((client, index) => client.query(`PREPARE TRANSACTION '${gid}-${index}'`)));
    await records.append();
    await Promise.all(pair.map((client, index) => client.query(`COMMIT PREPARED '${gid}-${index}'`)));
  };
  const oneShard = (clients: readonly pg.Client[]) => async (worker: number) => {
    const client = clients[worker] as pg.Client;
    const shard = ids[worker % 2] ?? [];
    await client.query('BEGIN');
    await client.query(named(pick(shard), 1));
    await client.query(named(pick(shard), -1));
    await client.query('COMMIT');
  };

  const figures: Record<string, number[]> = { proxy: [], hand: [], oneOn: [], oneOff: [], cpuUs: [] };
  const measure = async (name: string, work: (worker: number) => Promise<void>) => {
    figures[name]?.push(await perSecond(CLIENTS, roundMs, work));
  };
  // Before what counts each way runs once: prepared statements, the compiler and PostgreSQL's caches are warm for both.
  for (const work of [throughProxy(onClients), byHand]) await perSecond(CLIENTS, roundMs / 2, work);
  for (let index = 0; index < rounds; index++) {
    const cpuBefore = cpuMs(on.pid);
    await measure('proxy', throughProxy(onClients));
    const transactions = ((figures.proxy?.at(-1) ?? 0) * roundMs) / 1000;
    figures.cpuUs?.push(((cpuMs(on.pid) - cpuBefore) * 1000) / transactions);
    await measure('hand', byHand);
  }
  // The two do the same work, so a difference of a few per cent must be seen: short pairs in turn, and the median of their ratios.
  const pairs: number[] = [];
  for (let index = 0; index < (quick ? 3 : 15); index++) {
    const order = index % 2 === 0 ? (['oneOn', 'oneOff'] as const) : (['oneOff', 'oneOn'] as const);
    for (const name of order) {
      figures[name]?.push(await perSecond(CLIENTS, 2_000, oneShard(name === 'oneOn' ? onClients : offClients)));
    }
    pairs.push((figures.oneOn?.at(-1) ?? 0) / (figures.oneOff?.at(-1) ?? 1));
  }
  const of = (name: string) => median(figures[name] ?? []);
  const about = { clients: CLIENTS, shards: 2, accounts: ACCOUNTS, rounds, roundMs };
  print({
    bench: 'commit.cross-shard',
    ratio: round(of('proxy') / of('hand')),
    proxyTps: round(of('proxy'), 0),
    byHandTps: round(of('hand'), 0),
    proxyCpuUsPerTransaction: round(of('cpuUs'), 0),
    ...about,
  });
  print({
    bench: 'commit.one-shard',
    ratio: round(median(pairs), 3),
    twoPhaseOnTps: round(of('oneOn'), 0),
    twoPhaseOffTps: round(of('oneOff'), 0),
    ...about,
  });
  await Promise.all([...onClients, ...offClients, ...direct.flat()].map((client) => client.end()));
  await file.close();
}
