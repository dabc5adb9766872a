// What becomes of a transaction that was chosen: nothing of it is sent while a cancel request is on its way, its locks go
// with the error, and its client is told why.
import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { sqlError } from '../../../src/protocol/sql-error.ts';
import { ClientTransaction } from '../../../src/session/client-transaction.ts';
import type { Deadlock } from '../../../src/session/deadlock-error.ts';
import { RunningTransactions } from '../../../src/session/running-transactions.ts';
import type { SessionState } from '../../../src/session/session-state.ts';
import { NO_SETTINGS } from '../../../src/session/settings.ts';

const DEADLOCK: Deadlock = {
  waits: [
    { shard: 'shard-0', waiterPid: 1, blockerPid: 2 },
    { shard: 'shard-1', waiterPid: 3, blockerPid: 4 },
  ],
};

/** A server connection whose cancel requests end when the test says so. */
class PretendConnection {
  readonly shard: string;
  readonly identity = { backendPid: 7 };
  readonly commands: string[] = [];
  pendingUnits = 1;
  cancels = 0;
  cancelling: Promise<void> | undefined;
  delivered: () => void = () => undefined;

  constructor(shard: string) {
    this.shard = shard;
  }

  command(sql: string) {
    this.commands.push(sql);
    return Promise.resolve({ kind: 'complete', tag: sql, notices: [], rows: [] });
  }

  cancel(): Promise<void> {
    this.cancels++;
    this.cancelling = new Promise((resolve) => {
      this.delivered = () => {
        this.cancelling = undefined;
        resolve();
      };
    });
    return this.cancelling;
  }
}

async function scene() {
  const connections = [new PretendConnection('shard-0'), new PretendConnection('shard-1')] as const;
  const given: PretendConnection[] = [];
  const running = new RunningTransactions();
  const pools = connections.map((connection) => ({
    tryTake: () => connection,
    give: (back: PretendConnection) => given.push(back),
  }));
  const session = {
    services: {
      running,
      coordinator: {
        rollback: (branches: { link: PretendConnection }[]) =>
          Promise.all(branches.map(({ link }) => link.command('ROLLBACK'))),
      },
    },
    pools,
    furtherPools: pools,
    settings: NO_SETTINGS,
    working: new Set(),
    committing: false,
  };
  const transaction = new ClientTransaction(session as unknown as SessionState, { hidden: false, modes: '' });
  await transaction.join(0);
  await transaction.join(1);
  return { transaction, connections, given, running };
}

describe('the victim of a deadlock', () => {
  it('sends nothing more until every cancel request has been delivered, also if its statement succeeded', async () => {
    const { transaction, connections } = await scene();
    transaction.cancelFor(DEADLOCK);
    let over = false;
    const ended = transaction.statementEnded(false).then(() => {
      over = true;
    });
    for (const connection of connections) {
      await setImmediate();
      expect(over).toBe(false);
      connection.delivered();
    }
    await ended;
    expect(connections.map(({ commands }) => commands)).toEqual([['BEGIN'], ['BEGIN']]);
    expect([transaction.state, transaction.isVictim]).toEqual(['open', false]);
  });

  it('is rolled back everywhere once it failed, after the cancel requests; its block stays, failed', async () => {
    const { transaction, connections, given, running } = await scene();
    transaction.cancelFor(DEADLOCK);
    const ended = transaction.statementEnded(true);
    connections[0].delivered();
    await setImmediate();
    expect(connections[0].commands).toEqual(['BEGIN']);
    connections[1].delivered();
    await ended;
    expect(connections.map(({ commands }) => commands.at(-1))).toEqual(['ROLLBACK', 'ROLLBACK']);
    expect(given).toEqual([...connections]);
    expect([transaction.state, transaction.branches.size, running.has(transaction)]).toEqual(['failed', 0, false]);
  });

  it('keeps its branches when it has a savepoint to go back to', async () => {
    const { transaction, connections, given } = await scene();
    transaction.journal.savepoint('here');
    transaction.cancelFor(DEADLOCK);
    for (const connection of connections) connection.delivered();
    await transaction.statementEnded(true);
    expect([transaction.branches.size, given.length]).toEqual([2, 0]);
  });

  it('is cancelled only where something runs', async () => {
    const { transaction, connections } = await scene();
    connections[0].pendingUnits = 0;
    transaction.cancelFor(DEADLOCK);
    expect(connections.map(({ cancels }) => cancels)).toEqual([0, 1]);
  });

  it('is told of the deadlock in place of the cancel, of other errors as they are, and once', async () => {
    const { transaction, connections } = await scene();
    const cancelled = sqlError('57014', 'canceling statement due to user request');
    const duplicate = sqlError('23505', 'duplicate key');
    expect(transaction.told(cancelled)).toBe(cancelled);
    transaction.cancelFor(DEADLOCK);
    expect(transaction.told(cancelled)).toMatchObject({
      severity: 'ERROR',
      code: '40P01',
      message: 'deadlock detected',
      detail:
        'The circle of waits goes over shard-0, shard-1: on shard-0 process 1 waits for process 2; on shard-1 process 3 waits for process 4.',
    });
    expect(transaction.told(duplicate)).toBe(duplicate);
    for (const connection of connections) connection.delivered();
    await transaction.statementEnded(false);
    expect(transaction.told(cancelled)).toBe(cancelled);
  });

  it('another step at the begin and at the end of each statement, the same in between', async () => {
    const { transaction } = await scene();
    const steps = [transaction.step];
    await transaction.statementEnded(false);
    steps.push(transaction.step);
    await transaction.join(0);
    steps.push(transaction.step);
    expect(new Set(steps).size).toBe(3);
    expect(transaction.step).toBe(steps[2]);
  });
});
