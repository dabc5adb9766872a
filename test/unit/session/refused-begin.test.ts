// A BEGIN that the shard refuses: the client has its error, and gets no second one about a block that ended by itself.
import { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { query } from '../../../src/protocol/client-message-writer.ts';
import { STATUS } from '../../../src/protocol/message-type.ts';
import { commandComplete, errorResponse } from '../../../src/protocol/server-message.ts';
import { sqlError } from '../../../src/protocol/sql-error.ts';
import { ClientTransaction } from '../../../src/session/client-transaction.ts';
import { ClientWriter } from '../../../src/session/client-writer.ts';
import { simpleDispatch } from '../../../src/session/dispatch.ts';
import { RunningTransactions } from '../../../src/session/running-transactions.ts';
import type { SessionState } from '../../../src/session/session-state.ts';
import { NO_SETTINGS } from '../../../src/session/settings.ts';
import { runInside } from '../../../src/session/statement-runner.ts';
import type { ReplySink } from '../../../src/shard/connection.ts';

/** Runs a statement on a shard that answers with `reply` and then says that it is in no block. */
async function ranOutsideItsBlock(reply: Buffer) {
  const destroyed: string[] = [];
  const connection = {
    shard: 'shard-0',
    identity: { backendPid: 7 },
    pendingUnits: 0,
    command: (sql: string) => Promise.resolve({ kind: 'complete', tag: sql, notices: [], rows: [] }),
    send: (_bytes: Buffer, sink: ReplySink) => {
      sink.frame(reply.readUInt8(0), reply, 0, reply.length);
      sink.ready(STATUS.idle);
    },
    destroy: (reason: string) => destroyed.push(reason),
  };
  const pool = { tryTake: () => connection, give: () => undefined };
  const socket = new Socket();
  socket.write = (() => true) as typeof socket.write;
  const session = {
    services: { running: new RunningTransactions() },
    pools: [pool],
    furtherPools: [pool],
    settings: NO_SETTINGS,
    working: new Set(),
    writer: new ClientWriter(socket),
    expectsSeveralWriters: false,
  } as unknown as SessionState;
  const transaction = new ClientTransaction(session, { hidden: false, modes: '' });
  const ran = await runInside(session, transaction, 0, simpleDispatch(query('SELECT 1')), false);
  return { ran, state: transaction.state, destroyed };
}

describe('a statement whose shard is in no block afterwards', () => {
  it('failed by its own error: that is all the client is told', async () => {
    const refused = errorResponse(sqlError('25001', 'cannot begin'));
    const { ran, state, destroyed } = await ranOutsideItsBlock(refused);
    expect(ran.kind).toBe('failed');
    expect([state, destroyed.length]).toEqual(['broken', 1]);
  });

  it('without an error of its own gets one, and the transaction is over', async () => {
    const { ran, state, destroyed } = await ranOutsideItsBlock(commandComplete('SELECT 1'));
    expect(ran).toMatchObject({ kind: 'error', error: { code: '25000' } });
    expect([state, destroyed.length]).toEqual(['broken', 1]);
  });
});
