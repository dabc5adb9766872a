// The load in the cluster: moves money through the Service until told to stop, and keeps its outbox on a volume of its own.
//
// Told what to do by files beside the outbox: `paused` (it exists: no transfer runs) and `ended`. Says what it does in
// `state.json`. Everything else is its one argument, JSON; where to connect is LOAD_URL, because it holds a password.
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { Outbox, readOutbox } from '../../support/outbox.ts';
import { openAccounts, TRANSFER_TABLES, TransferLoad } from '../../support/transfer-load.ts';
import { type LoadOrder, OUTBOX_FILES } from './files.ts';

const POLL_MS = 50;
/** A proxy that is not ready yet refuses; the cluster may still be starting. */
const OPEN_TIMEOUT_MS = 180_000;

const order = JSON.parse(process.argv[2] ?? '') as LoadOrder;
const url = process.env.LOAD_URL;
if (url === undefined) throw new Error('LOAD_URL is not set');
const at = (name: string) => path.join(order.folder, name);

/** Tables and accounts, through the proxy: DDL on all shards is a two-phase commit already. */
async function openBank(accounts: readonly number[]): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    // A start that was killed in the middle leaves some; they are made anew, before anybody counts on them.
    await client.query('DROP TABLE IF EXISTS transfers');
    await client.query('DROP TABLE IF EXISTS accounts');
    for (const statement of TRANSFER_TABLES.split(';')) await client.query(statement);
  } finally {
    await client.end();
  }
  await openAccounts(url ?? '', accounts, order.initialBalance);
}

async function untilOpen(accounts: readonly number[]): Promise<void> {
  const until = Date.now() + OPEN_TIMEOUT_MS;
  for (;;) {
    try {
      return await openBank(accounts);
    } catch (error) {
      console.error(`the accounts are not open yet: ${error instanceof Error ? error.message : String(error)}`);
      if (Date.now() > until) throw error;
      await sleep(500);
    }
  }
}

/** How often the load began before: its transfers must not be drawn again. */
function startsBefore(): number {
  return existsSync(at(OUTBOX_FILES.outbox)) ? readOutbox(readFileSync(at(OUTBOX_FILES.outbox), 'utf8')).starts : 0;
}

function say(state: 'running' | 'paused' | 'ended', load: TransferLoad): void {
  const { reconnects, hangs } = load;
  const file = at(OUTBOX_FILES.state);
  writeFileSync(`${file}.new`, JSON.stringify({ state, reconnects, hangs, ...load.ledger.counts(), atMs: Date.now() }));
  renameSync(`${file}.new`, file);
  console.log(`${state} ${JSON.stringify(load.ledger.counts())}`);
}

const accounts = Array.from({ length: order.accounts }, (_, i) => i + 1);
const starts = startsBefore();
if (starts === 0) await untilOpen(accounts);
const outbox = new Outbox(at(OUTBOX_FILES.outbox));
await outbox.opens(accounts, order.initialBalance);
const { initialBalance, clients, legsMax, restMs, leaveChance, answerTimeoutMs } = order;
const load = new TransferLoad({
  url,
  accounts,
  initialBalance,
  clients,
  legsMax,
  restMs,
  leaveChance,
  answerTimeoutMs,
  seed: order.seed + starts,
  journalOf: (client) => outbox.journalOf(client),
});
let running = false;
while (!existsSync(at(OUTBOX_FILES.ended))) {
  const wanted = !existsSync(at(OUTBOX_FILES.paused));
  if (wanted && !running) load.start();
  if (!wanted && running) await load.pause();
  if (wanted !== running || !existsSync(at(OUTBOX_FILES.state))) say(wanted ? 'running' : 'paused', load);
  running = wanted;
  await sleep(POLL_MS);
}
await load.stop();
say('ended', load);
console.log(load.ledger.summary());
await outbox.close();
