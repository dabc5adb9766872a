// What a load client does next: drawn from a seed, before a single byte is sent, so that the judge knows what was intended.
//
// Every account that a transfer touches gets a row (account, transfer id, amount) on its own shard, and its balance changes
// by that amount. So each balance is its first balance plus its rows, and the sum of all balances never changes.
import type { Random } from './random.ts';

/**
 * transfer: several accounts, then COMMIT. single: one account. automatic: several accounts in one statement without BEGIN.
 * rollback: everything done, then ROLLBACK. violation: a statement that fails, then COMMIT all the same. readOnly: SELECTs only.
 */
export type TransferKind = 'transfer' | 'single' | 'automatic' | 'rollback' | 'violation' | 'readOnly';

/** Simple query with literals, extended with parameters, or a named prepared statement. */
export type Style = 'simple' | 'parameters' | 'prepared';

export interface Leg {
  readonly account: number;
  readonly amount: number;
}

export interface TransferPlan {
  readonly id: string;
  readonly kind: TransferKind;
  readonly style: Style;
  /** Accounts ascending: all clients lock in one order, so that no two wait for each other across shards. */
  readonly legs: readonly Leg[];
  /** An account that is only read on the way: a participant that wrote nothing. */
  readonly alsoReads: number | undefined;
}

export interface Statement {
  readonly text: string;
  readonly values?: readonly (string | number)[];
  readonly name?: string;
}

export type KindWeights = Readonly<Record<TransferKind, number>>;

export const USUAL_WEIGHTS: KindWeights = {
  transfer: 12,
  single: 2,
  automatic: 1,
  rollback: 1,
  violation: 1,
  readOnly: 1,
};

const AMOUNT_MAX = 20;

/** Draws the next transfer over `accounts`, touching at most `legsMax` of them. */
export function planTransfer(
  random: Random,
  accounts: readonly number[],
  legsMax: number,
  weights: KindWeights,
): TransferPlan {
  const kind = random.weighted(weights);
  const count = kind === 'single' ? 1 : random.between(2, Math.max(2, legsMax));
  const touched = random.subset(accounts, count).toSorted((a, b) => a - b);
  // A single statement cannot also change balances, so its rows move nothing.
  const moves = kind !== 'automatic' && touched.length > 1;
  const amounts = touched.map(() => (moves ? random.between(-AMOUNT_MAX, AMOUNT_MAX) : 0));
  const surplus = amounts.reduce((sum, amount) => sum + amount, 0);
  const legs = touched.map((account, i) => ({ account, amount: (amounts[i] ?? 0) - (i === 0 ? surplus : 0) }));
  return {
    id: random.uuid(),
    kind,
    style: random.pick(['simple', 'parameters', 'prepared']),
    legs,
    alsoReads: random.chance(0.2) ? random.pick(accounts) : undefined,
  };
}

/** The statements of a plan between BEGIN and its end, in order; for `automatic` the one statement that is all of it. */
export function statementsOf(plan: TransferPlan): Statement[] {
  if (plan.kind === 'automatic') {
    const rows = plan.legs.map((leg) => `(${leg.account}, '${plan.id}', ${leg.amount})`).join(', ');
    return [{ text: `INSERT INTO transfers (account_id, transfer_id, amount) VALUES ${rows}` }];
  }
  if (plan.kind === 'readOnly') return plan.legs.map((leg) => readOf(leg.account, plan.style));
  const writes = plan.legs.flatMap((leg) => writesOf(leg, plan));
  const reads = plan.alsoReads === undefined ? [] : [readOf(plan.alsoReads, plan.style)];
  const last = plan.legs.at(-1);
  // The second row with the same key breaks the primary key on one shard, after all shards have been written to.
  const broken = plan.kind === 'violation' && last !== undefined ? [insertOf(last, plan)] : [];
  return [...reads, ...writes, ...broken];
}

function writesOf(leg: Leg, plan: TransferPlan): Statement[] {
  const update = styled(
    plan.style,
    'change',
    (amount, id) => `UPDATE accounts SET balance = balance + ${amount} WHERE id = ${id}`,
    [leg.amount, leg.account],
    ['int', 'int'],
  );
  return leg.amount === 0 ? [insertOf(leg, plan)] : [update, insertOf(leg, plan)];
}

const insertOf = (leg: Leg, plan: TransferPlan) =>
  styled(
    plan.style,
    'note',
    (account, id, amount) =>
      `INSERT INTO transfers (account_id, transfer_id, amount) VALUES (${account}, ${id}, ${amount})`,
    [leg.account, plan.id, leg.amount],
    ['int', 'text', 'int'],
  );

const readOf = (account: number, style: Style) =>
  styled(style, 'look', (id) => `SELECT balance FROM accounts WHERE id = ${id}`, [account], ['int']);

function styled(
  style: Style,
  name: string,
  write: (...holes: string[]) => string,
  values: readonly (string | number)[],
  types: readonly ('int' | 'text')[],
): Statement {
  if (style === 'simple') {
    return { text: write(...values.map((value, i) => (types[i] === 'text' ? `'${value}'` : String(value)))) };
  }
  const text = write(...values.map((_, i) => `$${i + 1}`));
  return style === 'prepared' ? { name, text, values } : { text, values };
}
