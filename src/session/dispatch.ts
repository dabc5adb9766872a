// What one statement is for a shard: the bytes of its unit, how the reply is passed on, and what the transaction lets ride
// along in the same packet. Each ReadyForQuery costs the server a write and us a read, so BEGIN and the question for the
// xid do without one where the protocol allows it.
import { query } from '../protocol/client-message-writer.ts';
import type { ServerConnection } from '../shard/connection.ts';
import { type OtherError, RelaySink, type ScriptStep, type UnitEnd } from './relay.ts';
import { type Correction, correctingErrors } from './rewritten-text.ts';
import type { SessionState } from './session-state.ts';

/** Messages of ours in a unit of the client's; it sees no reply to them. An error of theirs fails the unit. */
export interface Riders {
  /** In front: the transaction block begins here. */
  readonly begin: string | undefined;
  /** Behind: hears the xid, null for none assigned. Not called when something before it failed. */
  readonly onXid: ((xid: string | null) => void) | undefined;
}

/** The bytes of one unit for one shard, ending with what makes the shard say ReadyForQuery. */
export interface Dispatch {
  /** The unit can carry riders: it is of the extended protocol. */
  readonly carries?: boolean;
  /** The whole reply is passed on by this script (undefined: as it is). `riders` only where it `carries`. */
  readonly relay: (
    connection: ServerConnection,
    riders?: Riders,
  ) => { bytes: Buffer; script?: readonly ScriptStep[] | undefined };
  /** Errors as they are told, when the shards get another text than the client sent. */
  readonly correct?: Correction | undefined;
  /** The reply is merged with those of other shards. */
  readonly merged: (
    connection: ServerConnection,
    shard: number,
  ) => { bytes: Buffer; onParsed?: (() => void) | undefined };
  /** The shard may ask for rows of the client: nothing of ours may be sent behind it before it has ended. */
  readonly copies?: boolean | undefined;
  /** Shown before anything else of a merged success: the client's ParseComplete and BindComplete. */
  readonly prefix?: Buffer | undefined;
}

/** A simple Query as it came (or one statement's own text of several). */
export function simpleDispatch(frame: Buffer, parts?: ReadonlyMap<number, string>, correct?: Correction): Dispatch {
  return {
    correct,
    relay: () => ({ bytes: frame }),
    merged: (_connection, shard) => {
      const text = parts?.get(shard);
      return { bytes: text === undefined ? frame : query(text) };
    },
  };
}

/** Sends one unit and passes its reply on to the client; resolves when the shard is ready again or gone. */
export async function relayUnit(
  session: SessionState,
  connection: ServerConnection,
  dispatch: Dispatch,
  otherError?: OtherError,
  riders?: Riders,
): Promise<UnitEnd> {
  const { bytes, script } = dispatch.relay(connection, riders);
  const onCopyIn = () => {
    session.copyTarget = connection;
    session.onCopyIn(connection);
  };
  const sink = new RelaySink(
    session.writer,
    connection,
    script,
    onCopyIn,
    correctingErrors(dispatch.correct, otherError),
  );
  connection.send(bytes, sink);
  const end = await sink.ended;
  if (session.copyTarget === connection) session.copyTarget = undefined;
  return end;
}
