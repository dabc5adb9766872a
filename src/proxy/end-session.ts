// Ends a client's session from outside. The rule: 57P01, which drivers take for "rolled back, run it again", is only said
// where nothing that runs can still take effect; otherwise the client is told that the outcome is not known.
import { SQLSTATE, type SqlError, sqlError } from '../protocol/sql-error.ts';
import type { ClientSession } from '../session/client-session.ts';

type Ended = Pick<ClientSession, 'active' | 'terminate'> & {
  readonly state: {
    readonly committing: boolean;
    readonly transaction: { readonly hidden: boolean } | undefined;
  };
};

/** Ends `session` at once; `why` is what it is told where that is the whole truth. */
export function endSession(session: Ended, why: SqlError): void {
  session.terminate(mayTakeEffect(session) ? inDoubt(why) : why);
}

/** A COMMIT goes on to its end, and a statement outside a block is committed by its shard whoever has left. */
function mayTakeEffect({ active, state }: Ended): boolean {
  return state.committing || (active && (state.transaction === undefined || state.transaction.hidden));
}

function inDoubt({ message }: SqlError): SqlError {
  return sqlError(SQLSTATE.transactionResolutionUnknown, `${message}; what was running may still take effect`, {
    severity: 'FATAL',
    hint: 'Look whether the change is there before you send it again.',
  });
}
