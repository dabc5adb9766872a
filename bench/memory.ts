// Resident memory of the proxy: idle, with 200 clients, and before and after minutes of load with them.
import pg from 'pg';
import { loadAccounts, perSecond, print, rssMib, startBenchProxy, startDurableShards } from './rig.ts';

const CONNECTED = 200;

export async function benchMemory({ quick }: { quick: boolean }): Promise<void> {
  const minutes = quick ? 0.5 : 10;
  await using shards = await startDurableShards(2);
  await using proxy = await startBenchProxy(shards, 'memory');
  await loadAccounts(shards, proxy.ready.port);
  const idle = rssMib(proxy.pid);
  const clients = Array.from(
    { length: CONNECTED },
    () => new pg.Client({ host: '127.0.0.1', port: proxy.ready.port, user: 'postgres', database: 'app' }),
  );
  await Promise.all(clients.map((client) => client.connect()));
  const connected = rssMib(proxy.pid);
  const samples: number[] = [];
  const load = (durationMs: number) =>
    perSecond(CONNECTED, durationMs, async (worker) => {
      const client = clients[worker] as pg.Client;
      const id = 1 + Math.floor(Math.random() * 10_000);
      await client.query('BEGIN');
      await client.query('UPDATE accounts SET balance = balance - 1 WHERE id = $1', [id]);
      await client.query(`SELECT balance FROM accounts WHERE id = ${1 + Math.floor(Math.random() * 10_000)}`);
      await client.query('COMMIT');
    });
  let tps = 0;
  for (let sample = 0; sample < 10; sample++) {
    tps = await load((minutes * 60_000) / 10);
    samples.push(rssMib(proxy.pid));
    process.stderr.write(`memory: ${sample + 1}/10, ${samples.at(-1)} MiB\n`);
  }
  // The first tenth warms caches and the heap up; growth is counted from there.
  print({
    bench: 'memory',
    ratio: Number(((samples.at(-1) ?? 0) / (samples[0] ?? 1)).toFixed(2)),
    idleMib: idle,
    connectedMib: connected,
    loadMib: samples,
    clients: CONNECTED,
    minutes,
    tps: Math.round(tps),
  });
  await Promise.all(clients.map((client) => client.end()));
}
