// The question for a transaction's xid, prepared once per connection: it stands behind most writes of cross-shard
// transactions, and parsing it each time would cost the server more than answering it.
import { bind, close, execute, parse, SYNC } from '../protocol/client-message-writer.ts';
import type { CommandReply } from './branch-link.ts';

/** One row: the xid as text, NULL when the transaction has none, because nothing was written. */
export const XID_QUESTION = 'SELECT pg_catalog.pg_current_xact_id_if_assigned()';

const NAME = 'atomshard_xid';
const ASK = Buffer.concat([bind({ statement: NAME }), execute(), SYNC]);
/** With Close in front (no error when there is nothing to close), so that a doubt is always repaired. */
const PREPARE_AND_ASK = Buffer.concat([close('statement', NAME), parse(NAME, XID_QUESTION), ASK]);

export class XidQuestion {
  /** Sent is enough: what is pipelined behind a Parse that failed fails too. */
  #prepared = false;

  /** `send` sends one unit and resolves with its reply. */
  async ask(send: (bytes: Buffer) => Promise<CommandReply>): Promise<CommandReply> {
    const bytes = this.#prepared ? ASK : PREPARE_AND_ASK;
    this.#prepared = true;
    const reply = await send(bytes);
    // The statement may be missing: a failed block took no Parse, or a function ran DEALLOCATE ALL.
    if (reply.kind === 'error') this.#prepared = false;
    return reply;
  }
}
