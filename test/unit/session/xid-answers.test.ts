// The answer "no xid" is only believed of the writes that stood before its question: believed of a later one, a writer would
// be committed as a reader, without being prepared.
import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { ClientTransaction, isBranch } from '../../../src/session/client-transaction.ts';
import { RunningTransactions } from '../../../src/session/running-transactions.ts';
import type { SessionState } from '../../../src/session/session-state.ts';
import { NO_SETTINGS } from '../../../src/session/settings.ts';

type Answer = (xid: string | null) => void;

async function scene() {
  const questions: Answer[] = [];
  const connection = {
    shard: 'shard-0',
    identity: { backendPid: 7 },
    pendingUnits: 0,
    command: (sql: string) => Promise.resolve({ kind: 'complete', tag: sql, notices: [], rows: [] }),
    xidQuestion: {
      ask: () =>
        new Promise((resolve) =>
          questions.push((xid) => resolve({ kind: 'complete', tag: '', notices: [], rows: [[xid]] })),
        ),
    },
  };
  const pool = { tryTake: () => connection, give: () => undefined };
  const session = {
    services: { running: new RunningTransactions() },
    pools: [pool],
    furtherPools: [pool],
    settings: NO_SETTINGS,
    working: new Set(),
    committing: false,
    expectsSeveralWriters: true,
  };
  const transaction = new ClientTransaction(session as unknown as SessionState, { hidden: false, modes: '' });
  const branch = await transaction.join(0);
  if (!isBranch(branch)) throw new Error(branch.message);
  return { transaction, branch, questions };
}

describe('that a branch has no xid', () => {
  it('is not believed when it wrote again before the answer came', async () => {
    const { transaction, branch, questions } = await scene();
    transaction.wrote(branch);
    transaction.wrote(branch);
    expect(questions).toHaveLength(2);
    questions[0]?.(null);
    await setImmediate();
    expect(branch.xid).toBeUndefined();
    questions[1]?.('700');
    await setImmediate();
    expect(branch.xid).toBe('700');
  });

  it('is not believed of a question that rode with an earlier statement', async () => {
    const { transaction, branch } = await scene();
    const { onXid } = transaction.riders(branch, true);
    transaction.wrote(branch);
    transaction.wrote(branch);
    onXid?.(null);
    expect(branch.xid).toBeUndefined();
  });

  it('is believed of the writes before it, and forgotten with the next one', async () => {
    const { transaction, branch } = await scene();
    const { onXid } = transaction.riders(branch, true);
    transaction.wrote(branch);
    onXid?.(null);
    expect(branch.xid).toBeNull();
    transaction.wrote(branch);
    expect(branch.xid).toBeUndefined();
  });
});
