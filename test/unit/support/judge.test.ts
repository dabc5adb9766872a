// A judge that cannot find anybody guilty proves nothing: every kind of fault is put into the rows by hand here.
import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { judgeRows, type ShardRows, type Verdict } from '../../support/judge.ts';
import { Random } from '../../support/random.ts';
import { classifyCommit } from '../../support/transfer-client.ts';
import { type Told, TransferLedger } from '../../support/transfer-ledger.ts';
import { planTransfer, statementsOf, type TransferKind, USUAL_WEIGHTS } from '../../support/transfer-plan.ts';

const FIRST = 100;
const LEGS = [
  { account: 1, amount: -7 },
  { account: 2, amount: 7 },
];

function ledgerWith(told: Told, kind: TransferKind = 'transfer'): TransferLedger {
  const ledger = new TransferLedger(new Map([1, 2, 3].map((account) => [account, FIRST])));
  const record = ledger.intend({ id: 't', kind, style: 'simple', legs: LEGS, alsoReads: undefined });
  record.told = told;
  return ledger;
}

/** Accounts 1 and 3 live on a, 2 on b; `on` says whose legs of transfer t are there. */
function rows(on: readonly number[]): [ShardRows, ShardRows] {
  const balance = (id: number) => FIRST + (on.includes(id) ? (LEGS.find((leg) => leg.account === id)?.amount ?? 0) : 0);
  const legs = (ids: readonly number[]) =>
    LEGS.filter((leg) => ids.includes(leg.account) && on.includes(leg.account)).map((leg) => ({
      ...leg,
      transfer: 't',
    }));
  return [
    { shard: 'a', accounts: [1, 3].map((id) => ({ id, balance: balance(id) })), transfers: legs([1, 3]), prepared: [] },
    { shard: 'b', accounts: [{ id: 2, balance: balance(2) }], transfers: legs([2]), prepared: [] },
  ];
}

/** The names of the lists that are not empty. */
function faultsOf(verdict: Verdict): string[] {
  return Object.entries(verdict).flatMap(([name, value]) => (Array.isArray(value) && value.length > 0 ? [name] : []));
}

describe('the judge', () => {
  it.each([
    ['acknowledged', [1, 2]],
    ['refused', []],
    ['unknown', []],
    ['unknown', [1, 2]],
  ] as const)('acquits a transfer that was %s and is present on %j', (told, on) => {
    const verdict = judgeRows(rows(on), ledgerWith(told));
    expect(faultsOf(verdict)).toEqual([]);
    expect(verdict).toMatchObject({ sound: true, sumBefore: 300, sumAfter: 300 });
  });

  it.each([
    ['acknowledged', [], ['acknowledgedMissing']],
    ['acknowledged', [1], ['acknowledgedMissing', 'torn']],
    ['refused', [1, 2], ['refusedPresent']],
    ['refused', [2], ['refusedPresent', 'torn']],
    ['unknown', [2], ['torn']],
    ['pending', [], ['untold']],
  ] as const)(
    'PgDog 17: with nothing prepared it still convicts a transfer that was %s and is present on %j',
    (told, on, faults) => {
      const verdict = judgeRows(rows(on), ledgerWith(told));
      expect(faultsOf(verdict).toSorted()).toEqual(faults);
      expect(verdict.sound).toBe(false);
    },
  );

  it('counts what became of the unknown ones, and what really crossed shards', () => {
    expect(judgeRows(rows([1, 2]), ledgerWith('unknown'))).toMatchObject({
      unknownCommitted: 1,
      unknownAborted: 0,
      acrossShards: 1,
    });
    expect(judgeRows(rows([]), ledgerWith('unknown'))).toMatchObject({
      unknownCommitted: 0,
      unknownAborted: 1,
      acrossShards: 0,
    });
  });

  it('sees an amount applied twice, although every row is there', () => {
    const [a, b] = rows([1, 2]);
    const twice = { ...b, accounts: [{ id: 2, balance: FIRST + 14 }] };
    const verdict = judgeRows([a, twice], ledgerWith('acknowledged'));
    expect(faultsOf(verdict)).toEqual(['unbalanced']);
    expect(verdict).toMatchObject({ sound: false, sumAfter: 307 });
  });

  it('sees rows with another amount, and of transfers that nobody intended or that only read', () => {
    const [a, b] = rows([1, 2]);
    const stranger = { account: 2, transfer: 'u', amount: 0 };
    expect(
      faultsOf(judgeRows([a, { ...b, transfers: [...b.transfers, stranger] }], ledgerWith('acknowledged'))),
    ).toEqual(['strange']);
    const other = { ...a, transfers: [{ account: 1, transfer: 't', amount: -6 }] };
    expect(faultsOf(judgeRows([other, b], ledgerWith('unknown')))).toContain('strange');
    expect(faultsOf(judgeRows([a, b], ledgerWith('acknowledged', 'readOnly')))).toEqual(['strange']);
  });

  it('sees rows on the wrong shard, and accounts that are lost or doubled', () => {
    const [a, b] = rows([1, 2]);
    const moved = [
      { ...a, transfers: [] },
      { ...b, transfers: [...a.transfers, ...b.transfers] },
    ];
    expect(faultsOf(judgeRows(moved, ledgerWith('acknowledged')))).toEqual(['misplaced']);
    expect(faultsOf(judgeRows([a], ledgerWith('refused')))).toContain('misplaced');
    expect(faultsOf(judgeRows([a, b, { ...b, shard: 'c' }], ledgerWith('acknowledged')))).toContain('misplaced');
  });

  it('sees our prepared transactions that were left, and not those of others', () => {
    const [a, b] = rows([]);
    const ours = judgeRows([{ ...a, prepared: ['as1:k3x9q:p.1.2::0/2:', 'theirs'] }, b], ledgerWith('refused'));
    expect(ours.preparedLeft).toEqual(['a as1:k3x9q:p.1.2::0/2:']);
    expect(ours.sound).toBe(false);
    expect(judgeRows([{ ...a, prepared: ['theirs'] }, b], ledgerWith('refused')).sound).toBe(true);
  });
});

describe('what a client was told', () => {
  it('is yes only for the tag COMMIT, and no for COMMIT answered by ROLLBACK', () => {
    expect(classifyCommit({ tag: 'COMMIT' }).told).toBe('acknowledged');
    expect(classifyCommit({ tag: 'ROLLBACK' }).told).toBe('refused');
  });

  it.each([
    ['08007', 'unknown'],
    ['08006', 'unknown'],
    ['57P01', 'unknown'],
    ['25P03', 'unknown'],
    ['08001', 'refused'],
    ['57P03', 'refused'],
    ['40001', 'refused'],
    ['53100', 'refused'],
  ])('by the SQLSTATE %s is %s', (state, told) => {
    const error = new pg.DatabaseError('x', 1, 'error');
    error.code = state;
    expect(classifyCommit({ error }).told).toBe(told);
  });

  it('is unknown when the connection was lost', () => {
    expect(classifyCommit({ error: new Error('Connection terminated unexpectedly') }).told).toBe('unknown');
  });
});

describe('planned transfers', () => {
  it('keep the sum, touch each account once in ascending order, and come again from the same seed', () => {
    const accounts = Array.from({ length: 50 }, (_, i) => i + 1);
    const draw = (seed: number) => {
      const random = new Random(seed);
      return Array.from({ length: 500 }, () => planTransfer(random, accounts, 4, USUAL_WEIGHTS));
    };
    expect(draw(7)).toEqual(draw(7));
    expect(draw(7)).not.toEqual(draw(8));
    for (const plan of draw(7)) {
      expect(plan.legs.reduce((sum, leg) => sum + leg.amount, 0)).toBe(0);
      const touched = plan.legs.map((leg) => leg.account);
      expect(touched).toEqual([...new Set(touched)].toSorted((a, b) => a - b));
      expect(statementsOf(plan).length).toBeGreaterThan(0);
    }
    expect(new Set(draw(7).map((plan) => plan.kind)).size).toBe(6);
    expect(new Set(draw(7).map((plan) => plan.id)).size).toBe(500);
  });
});
