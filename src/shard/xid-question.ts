// The question for a transaction's xid, prepared once per connection: it stands behind most writes of cross-shard
// transactions, and parsing it each time would cost the server more than answering it. It has a portal of its own, so
// that a client's portal that waits for its next Execute survives it.
import { bind, close, execute, parse, SYNC } from '../protocol/client-message-writer.ts';
import type { CommandReply } from './branch-link.ts';

/** One row: the xid as text, NULL when the transaction has none, because nothing was written. */
export const XID_QUESTION = 'SELECT pg_catalog.pg_current_xact_id_if_assigned()';

const NAME = 'atomshard_xid';

/** Close (no error when there is nothing to close) and Parse, so that a doubt is always repaired. */
export const PREPARE_XID_QUESTION = Buffer.concat([close('statement', NAME), parse(NAME, XID_QUESTION)]);
/** Bind, Execute, Close of the portal. */
export const ASK_XID = Buffer.concat([bind({ portal: NAME, statement: NAME }), execute(NAME), close('portal', NAME)]);

const ASK_ALONE = Buffer.concat([ASK_XID, SYNC]);
const PREPARE_AND_ASK_ALONE = Buffer.concat([PREPARE_XID_QUESTION, ASK_XID, SYNC]);

export class XidQuestion {
  /** Whether the statement is believed to be on this connection; those who pipeline the messages keep it true. */
  prepared = false;
  readonly #send: (bytes: Buffer) => Promise<CommandReply>;

  /** `send` sends one unit and resolves with its reply. */
  constructor(send: (bytes: Buffer) => Promise<CommandReply>) {
    this.#send = send;
  }

  /** Asks in a unit of its own. */
  async ask(): Promise<CommandReply> {
    const bytes = this.prepared ? ASK_ALONE : PREPARE_AND_ASK_ALONE;
    // Sent is enough: what is pipelined behind a Parse that failed fails too.
    this.prepared = true;
    const reply = await this.#send(bytes);
    // The statement may be missing: a failed block took no Parse, or a function ran DEALLOCATE ALL.
    if (reply.kind === 'error') this.prepared = false;
    return reply;
  }
}
