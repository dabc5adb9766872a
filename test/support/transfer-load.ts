// The transfer load: several clients over one URL, each moving money between random accounts until told to stop.
import pg from 'pg';
import { Random } from './random.ts';
import { TransferClient } from './transfer-client.ts';
import { type TransferJournal, TransferLedger } from './transfer-ledger.ts';
import { type KindWeights, USUAL_WEIGHTS } from './transfer-plan.ts';

/** Run on every shard, or once through the proxy. Both tables are sharded by account. */
export const TRANSFER_TABLES = `
  CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint NOT NULL CHECK (balance >= 0));
  CREATE TABLE transfers (account_id bigint, transfer_id uuid, amount bigint NOT NULL, PRIMARY KEY (account_id, transfer_id))`;

/** How the proxy's configuration names them. */
export const TRANSFER_SHARDING = [
  { name: 'accounts', key: 'id', type: 'bigint' },
  { name: 'transfers', key: 'account_id', type: 'bigint' },
] as const;

export interface LoadOptions {
  /** Where every client connects: the proxy. */
  readonly url: string;
  readonly accounts: readonly number[];
  readonly initialBalance: number;
  readonly clients: number;
  readonly seed: number;
  /** How many accounts one transfer touches at most. */
  readonly legsMax?: number;
  readonly weights?: KindWeights;
  readonly answerTimeoutMs?: number;
  /** About how long each client rests after each transfer. */
  readonly restMs?: number;
  /** How likely a client gives its connection up after a transfer. */
  readonly leaveChance?: number;
  /** What outlives this process, by client. */
  readonly journalOf?: (client: number) => TransferJournal;
}

/** Inserts the accounts through `url`, one statement each, so that every router can place them. */
export async function openAccounts(url: string, accounts: readonly number[], balance: number): Promise<void> {
  const lanes = 8;
  const lane = async (first: number) => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      for (let i = first; i < accounts.length; i += lanes)
        await client.query('INSERT INTO accounts (id, balance) VALUES ($1, $2)', [accounts[i], balance]);
    } finally {
      await client.end();
    }
  };
  await Promise.all(Array.from({ length: lanes }, (_, first) => lane(first)));
}

export class TransferLoad {
  readonly ledger: TransferLedger;
  readonly #clients: readonly TransferClient[];
  #stopping = new AbortController();
  #running: Promise<unknown> = Promise.resolve();
  #active = false;

  constructor(options: LoadOptions) {
    const { accounts, initialBalance, clients, seed, url } = options;
    this.ledger = new TransferLedger(new Map(accounts.map((account) => [account, initialBalance])));
    const random = new Random(seed);
    const each = {
      url,
      accounts,
      legsMax: options.legsMax ?? 4,
      weights: options.weights ?? USUAL_WEIGHTS,
      answerTimeoutMs: options.answerTimeoutMs ?? 30_000,
      restMs: options.restMs,
      leaveChance: options.leaveChance,
    };
    this.#clients = Array.from(
      { length: clients },
      (_, index) =>
        new TransferClient({ ...each, journal: options.journalOf?.(index) }, random.fork(index), this.ledger),
    );
  }

  /** Connections made, and statements that were never answered. */
  get reconnects(): number {
    return this.#clients.reduce((sum, client) => sum + client.reconnects, 0);
  }

  get hangs(): number {
    return this.#clients.reduce((sum, client) => sum + client.hangs, 0);
  }

  /** Begins, or goes on after pause. */
  start(): void {
    if (this.#active) return;
    this.#active = true;
    this.#stopping = new AbortController();
    const { signal } = this.#stopping;
    const work = async (client: TransferClient) => {
      while (!signal.aborted) await client.step(signal);
    };
    this.#running = Promise.all(this.#clients.map(work));
  }

  /** Resolves when every client has been told the end of its last transfer; none is pending then. */
  async pause(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
    this.#active = false;
  }

  /** Pauses and closes all connections. */
  async stop(): Promise<void> {
    await this.pause();
    for (const client of this.#clients) client.drop();
  }
}
