// The outbox is the testimony of the cluster tests: what it forgets or invents, the judge cannot know.
import { appendFileSync, mkdtempSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Outbox, readOutbox } from '../../support/outbox.ts';
import type { Told, TransferRecord } from '../../support/transfer-ledger.ts';

const ACCOUNTS = [1, 2];

const record = (id: string, told: Told = 'pending', why = ''): TransferRecord => ({
  plan: {
    id,
    kind: 'transfer',
    style: 'prepared',
    legs: [
      { account: 1, amount: -7 },
      { account: 2, amount: 7 },
    ],
    alsoReads: undefined,
  },
  told,
  why,
  tookMs: 1.234,
});

describe('the outbox', () => {
  let folder: string;
  let file: string;
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'outbox-'));
    file = path.join(folder, 'outbox.jsonl');
  });
  afterEach(() => rmSync(folder, { recursive: true }));
  const read = () => readOutbox(readFileSync(file, 'utf8'));

  it('gives back what was intended and told, with its client and in its order', async () => {
    const outbox = new Outbox(file);
    await outbox.opens(ACCOUNTS, 500);
    const journal = outbox.journalOf(3);
    await Promise.all([journal.intended(record('a')), outbox.journalOf(4).intended(record('b'))]);
    await journal.told(record('a', 'unknown', '08007'));
    await outbox.close();
    const { ledger, answers, starts } = read();
    expect(starts).toBe(1);
    expect(ledger.initial).toEqual(new Map([[1, 500], [2, 500]])); // biome-ignore format: pairs
    expect(ledger.records.get('a')).toMatchObject({
      told: 'unknown',
      why: '08007',
      plan: { legs: record('a').plan.legs },
    });
    expect(ledger.records.get('b')).toMatchObject({ told: 'pending' });
    expect(answers).toEqual([{ client: 3, told: 'unknown', atMs: expect.any(Number) as number }]);
  });

  it('counts what a killed load had not been told as unknown, and only that', async () => {
    const first = new Outbox(file);
    await first.opens(ACCOUNTS, 500);
    await first.journalOf(0).intended(record('a'));
    await first.journalOf(0).told(record('a', 'acknowledged'));
    await first.journalOf(0).intended(record('b'));
    await first.close();
    const second = new Outbox(file);
    await second.opens(ACCOUNTS, 500);
    await second.journalOf(0).intended(record('c'));
    await second.close();
    const { ledger, starts } = read();
    expect(starts).toBe(2);
    expect([...ledger.records.values()].map(({ told }) => told)).toEqual(['acknowledged', 'unknown', 'pending']);
  });

  it('goes on after a line that a crash cut, and leaves that line out', async () => {
    const first = new Outbox(file);
    await first.opens(ACCOUNTS, 500);
    await first.journalOf(0).intended(record('a'));
    await first.journalOf(0).told(record('a', 'acknowledged'));
    await first.close();
    truncateSync(file, readFileSync(file).length - 9);
    const second = new Outbox(file);
    await second.opens(ACCOUNTS, 500);
    await second.close();
    expect(read().ledger.records.get('a')).toMatchObject({ told: 'unknown', why: 'the load was killed' });
  });

  it('refuses a damaged line in the middle, and an answer to what nobody intended', async () => {
    const outbox = new Outbox(file);
    await outbox.opens(ACCOUNTS, 500);
    await outbox.journalOf(0).intended(record('a'));
    await outbox.close();
    appendFileSync(file, '{"told":"a","as"\n{"intends":"b","client":0,"kind":"transfer","legs":[],"atMs":1}\n');
    expect(read).toThrow(SyntaxError);
    expect(() =>
      readOutbox('{"opens":{"accounts":[],"initialBalance":1},"atMs":1}\n{"told":"x","as":"refused"}\n'),
    ).toThrow('x, which nobody intended');
    expect(() => readOutbox('')).toThrow('says nothing');
  });
});
