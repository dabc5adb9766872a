// One load client: one connection, one transfer after the other, and an honest note of what it was told.
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Random } from './random.ts';
import type { Told, TransferJournal, TransferLedger, TransferRecord } from './transfer-ledger.ts';
import { type KindWeights, planTransfer, type Statement, statementsOf, type TransferPlan } from './transfer-plan.ts';

export interface ClientOptions {
  readonly url: string;
  readonly accounts: readonly number[];
  readonly legsMax: number;
  readonly weights: KindWeights;
  /** A statement without an answer for so long counts as a hang: the connection is dropped. */
  readonly answerTimeoutMs: number;
  /** About how long to rest after each transfer. */
  readonly restMs?: number | undefined;
  /** How likely the connection is given up after a transfer, so that a load balancer spreads clients anew. */
  readonly leaveChance?: number | undefined;
  /** Where to write down each transfer before its first byte leaves, and what was told before the next one. */
  readonly journal?: TransferJournal | undefined;
}

const BACKOFF_FIRST_MS = 20;
const BACKOFF_MAX_MS = 400;

/** An answer to COMMIT: three values, never two. */
export function classifyCommit(answer: { readonly tag: string } | { readonly error: unknown }): {
  readonly told: Told;
  readonly why: string;
} {
  if ('tag' in answer) {
    if (answer.tag === 'COMMIT') return { told: 'acknowledged', why: '' };
    return { told: 'refused', why: `COMMIT answered ${answer.tag}` };
  }
  const state = sqlState(answer.error);
  if (state === undefined) return { told: 'unknown', why: 'connection lost in COMMIT' };
  // 08xxx says that nobody knows, except the two that say that no connection came about; 57P01, 57P02, 57P04, 57P05 and
  // 25P03 end a session and say nothing about its transaction.
  if (/^(08(?!001|004)...|57P0[1245]|25P03)$/.test(state)) return { told: 'unknown', why: state };
  return { told: 'refused', why: state };
}

function sqlState(error: unknown): string | undefined {
  return error instanceof pg.DatabaseError ? error.code : undefined;
}

class Hang extends Error {
  override readonly name = 'Hang';
}

export class TransferClient {
  readonly #options: ClientOptions;
  readonly #random: Random;
  readonly #ledger: TransferLedger;
  #connection: pg.Client | undefined;
  #broken = false;
  #failuresInRow = 0;
  reconnects = 0;
  hangs = 0;

  constructor(options: ClientOptions, random: Random, ledger: TransferLedger) {
    this.#options = options;
    this.#random = random;
    this.#ledger = ledger;
  }

  /** Does one transfer, or, when nobody answers, one attempt to connect and a rest. Never rejects. */
  async step(signal: AbortSignal): Promise<void> {
    const connection = await this.#connect(signal);
    if (connection === undefined) return;
    const { accounts, legsMax, weights, journal, restMs = 0, leaveChance = 0 } = this.#options;
    const record = this.#ledger.intend(planTransfer(this.#random, accounts, legsMax, weights));
    await journal?.intended(record);
    const began = performance.now();
    const { told, why } = await this.#perform(connection, record.plan);
    record.told = told;
    record.why = why;
    record.tookMs = performance.now() - began;
    await journal?.told(record);
    if (this.#broken || (leaveChance > 0 && this.#random.chance(leaveChance))) this.drop();
    if (restMs > 0) await this.#rest(restMs, signal);
  }

  async #rest(aboutMs: number, signal: AbortSignal): Promise<void> {
    await sleep(aboutMs * (0.5 + this.#random.next()), undefined, { signal }).catch(() => undefined);
  }

  /** Closes the connection without a goodbye. */
  drop(): void {
    const connection = this.#connection;
    this.#connection = undefined;
    this.#broken = false;
    if (connection === undefined) return;
    // pg waits for the server to close after end(); a dead one never will.
    connection.end().catch(() => undefined);
    const { stream } = connection.connection;
    stream.destroy();
  }

  async #connect(signal: AbortSignal): Promise<pg.Client | undefined> {
    if (this.#connection !== undefined && !this.#broken) return this.#connection;
    this.drop();
    const connection = new pg.Client({ connectionString: this.#options.url, connectionTimeoutMillis: 5_000 });
    connection.on('error', () => {
      if (this.#connection === connection) this.#broken = true;
    });
    try {
      await connection.connect();
      this.#connection = connection;
      this.#failuresInRow = 0;
      this.reconnects += 1;
      return connection;
    } catch {
      connection.connection.stream.destroy();
      const rest = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** this.#failuresInRow++);
      await this.#rest(rest, signal);
      return undefined;
    }
  }

  async #perform(connection: pg.Client, plan: TransferPlan): Promise<Pick<TransferRecord, 'told' | 'why'>> {
    const statements = statementsOf(plan);
    if (plan.kind === 'automatic') return this.#automatic(connection, statements);
    let failed: string | undefined;
    try {
      await this.#ask(connection, { text: 'BEGIN' });
      for (const statement of statements) await this.#ask(connection, statement);
    } catch (error) {
      const state = sqlState(error);
      // COMMIT was not sent, so whatever happened to the connection, this must have left nothing.
      if (state === undefined || this.#broken) {
        this.#broken = true;
        return {
          told: 'refused',
          why: error instanceof Hang ? 'no answer before COMMIT' : 'connection lost before COMMIT',
        };
      }
      failed = state;
    }
    // A failed transaction is ended by COMMIT as often as by ROLLBACK: COMMIT must then answer ROLLBACK.
    const end = plan.kind === 'rollback' || (failed !== undefined && this.#random.chance(0.5)) ? 'ROLLBACK' : 'COMMIT';
    try {
      const tag = await this.#ask(connection, { text: end });
      if (end === 'ROLLBACK') return { told: 'refused', why: failed ?? 'asked for ROLLBACK' };
      const { told, why } = classifyCommit({ tag });
      return { told, why: failed === undefined ? why : `${failed}, ${why || 'yet COMMIT acknowledged'}` };
    } catch (error) {
      if (sqlState(error) === undefined) this.#broken = true;
      // Neither a ROLLBACK nor the COMMIT of a failed transaction can leave anything, answered or not.
      if (end === 'ROLLBACK' || failed !== undefined)
        return { told: 'refused', why: `${failed ?? 'ROLLBACK'}, then no answer` };
      if (error instanceof Hang) return { told: 'unknown', why: 'no answer to COMMIT' };
      return classifyCommit({ error });
    }
  }

  /** One statement that is a transaction of its own: its answer is the answer to its commit. */
  async #automatic(connection: pg.Client, statements: readonly Statement[]) {
    try {
      for (const statement of statements) await this.#ask(connection, statement);
      return classifyCommit({ tag: 'COMMIT' });
    } catch (error) {
      if (sqlState(error) === undefined) this.#broken = true;
      return error instanceof Hang ? { told: 'unknown' as const, why: 'no answer' } : classifyCommit({ error });
    }
  }

  async #ask(connection: pg.Client, statement: Statement): Promise<string> {
    const giveUp = new AbortController();
    const config: pg.QueryConfig =
      statement.values === undefined ? { text: statement.text } : { ...statement, values: [...statement.values] };
    const query = connection.query(config);
    const timeout = sleep(this.#options.answerTimeoutMs, 'hang' as const, { signal: giveUp.signal }).catch(
      () => 'hang' as const,
    );
    try {
      const first = await Promise.race([query, timeout]);
      if (first === 'hang') {
        this.hangs += 1;
        this.#broken = true;
        query.catch(() => undefined);
        throw new Hang(`no answer to ${statement.text}`);
      }
      return first.command;
    } finally {
      giveUp.abort();
    }
  }
}
