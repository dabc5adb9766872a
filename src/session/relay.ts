// Passes one shard's reply to the client as it came: whole frames, as slices, in one write per socket read. With a
// script it also hides replies to messages that the proxy added and inserts those that the proxy answers itself.
import { SERVER } from '../protocol/message-type.ts';
import type { ConnectionLost } from '../shard/branch-link.ts';
import type { ReplySink, ServerConnection } from '../shard/connection.ts';
import type { ClientWriter } from './client-writer.ts';

/** How one unit on one shard ended. `errored`: an ErrorResponse was passed to the client. */
export type UnitEnd =
  | { readonly kind: 'ready'; readonly status: number; readonly errored: boolean; readonly rowsSuspended: boolean }
  | { readonly kind: 'lost'; readonly lost: ConnectionLost };

/** One expected reply: `own` is inserted by the proxy at this place, the others are awaited from the shard. */
export type ScriptStep =
  | { readonly kind: 'own'; readonly bytes: Buffer; readonly onShown?: (() => void) | undefined }
  /** `hidden`: the proxy added the message, so the client must not see its reply. */
  | { readonly kind: 'parse' | 'close'; readonly hidden: boolean; readonly onDone?: (() => void) | undefined }
  /** `onRefused` sees the ErrorResponse to this message. */
  | {
      readonly kind: 'bind';
      readonly hidden?: boolean;
      readonly onRefused?: ((chunk: Buffer, start: number, end: number) => void) | undefined;
    }
  /** `onDescribed` sees the RowDescription or NoData that the client is shown. */
  | {
      readonly kind: 'describe-portal' | 'describe-statement';
      readonly hidden?: never;
      readonly onDescribed?: ((chunk: Buffer, start: number, end: number) => void) | undefined;
    }
  /** `onRow` sees the rows of a hidden Execute. */
  | {
      readonly kind: 'execute';
      readonly hidden?: boolean;
      readonly onRow?: (chunk: Buffer, start: number, end: number) => void;
    };

export const CLOSE: ScriptStep = { kind: 'close', hidden: false };
export const EXECUTE: ScriptStep = { kind: 'execute' };

/** Stops reading from the shards while the client reads slower than they write. */
export function flushOrPause(writer: ClientWriter, connections: Iterable<ServerConnection>): void {
  if (writer.flush()) return;
  const paused = [...connections];
  for (const connection of paused) connection.pauseReading();
  writer.onceDrained(() => {
    for (const connection of paused) connection.resumeReading();
  });
}

/** The error to show in place of the one in this frame; undefined to pass that on as it came. */
export type OtherError = (chunk: Buffer, start: number, end: number) => Buffer | undefined;

/** A sink for one unit; `ended` resolves once, when the shard is ready again or gone. */
export class RelaySink implements ReplySink {
  readonly ended: Promise<UnitEnd>;
  readonly #writer: ClientWriter;
  readonly #connection: ServerConnection;
  readonly #script: readonly ScriptStep[] | undefined;
  readonly #onCopyIn: (() => void) | undefined;
  readonly #otherError: OtherError | undefined;
  #resolve: (end: UnitEnd) => void = () => undefined;
  #step = 0;
  #errored = false;
  #rowsSuspended = false;
  #over = false;
  // The run of adjacent frames that leaves next: one slice, however many frames.
  #chunk: Buffer | undefined;
  #start = 0;
  #end = 0;

  constructor(
    writer: ClientWriter,
    connection: ServerConnection,
    script?: readonly ScriptStep[],
    onCopyIn?: () => void,
    otherError?: OtherError,
  ) {
    this.#writer = writer;
    this.#connection = connection;
    this.#script = script;
    this.#onCopyIn = onCopyIn;
    this.#otherError = otherError;
    this.ended = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    if (script !== undefined) this.#insertOwn();
  }

  frame(type: number, chunk: Buffer, start: number, end: number): void {
    if (type === SERVER.error) {
      this.#errored = true;
      const other = this.#otherError?.(chunk, start, end);
      if (other !== undefined) {
        this.#cut();
        this.#writer.write(other);
        return;
      }
      // Errors begin a slice of their own: see ClientWriter.write.
      this.#cut();
    } else if (type === SERVER.portalSuspended) this.#rowsSuspended = true;
    else if (type === SERVER.copyInResponse) this.#onCopyIn?.();
    if (this.#script === undefined) {
      this.#append(chunk, start, end);
      return;
    }
    const step = this.#script[this.#step];
    if (type === SERVER.error && step?.kind === 'bind') step.onRefused?.(chunk, start, end);
    if (step?.kind === 'execute' && step.hidden && type === SERVER.dataRow) {
      step.onRow?.(chunk, start, end);
      return;
    }
    if (step === undefined || step.kind === 'own' || !endsStep(step.kind, type)) {
      this.#append(chunk, start, end);
      return;
    }
    if (!step.hidden) this.#append(chunk, start, end);
    if (step.kind === 'parse' || step.kind === 'close') step.onDone?.();
    else if (step.kind === 'describe-portal' || step.kind === 'describe-statement')
      step.onDescribed?.(chunk, start, end);
    this.#step++;
    this.#insertOwn();
  }

  chunkEnd(): void {
    // What the session says next (ReadyForQuery, at the least) leaves in one write with the end of the reply.
    if (this.#over) return;
    this.#cut();
    flushOrPause(this.#writer, [this.#connection]);
  }

  ready(status: number): void {
    this.#cut();
    this.#over = true;
    this.#resolve({ kind: 'ready', status, errored: this.#errored, rowsSuspended: this.#rowsSuspended });
  }

  lost(lost: ConnectionLost): void {
    this.#cut();
    this.#resolve({ kind: 'lost', lost });
  }

  #append(chunk: Buffer, start: number, end: number): void {
    if (this.#chunk === chunk && this.#end === start) {
      this.#end = end;
      return;
    }
    this.#cut();
    this.#chunk = chunk;
    this.#start = start;
    this.#end = end;
  }

  #cut(): void {
    const chunk = this.#chunk;
    if (chunk === undefined) return;
    this.#writer.write(chunk.subarray(this.#start, this.#end));
    this.#chunk = undefined;
  }

  #insertOwn(): void {
    for (;;) {
      const step = this.#script?.[this.#step];
      if (step?.kind !== 'own') return;
      this.#cut();
      this.#writer.write(step.bytes);
      step.onShown?.();
      this.#step++;
    }
  }
}

/** Whether a frame of `type` is the last reply to a message of this kind. Errors end the whole script instead. */
function endsStep(kind: Exclude<ScriptStep['kind'], 'own'>, type: number): boolean {
  switch (kind) {
    case 'parse':
      return type === SERVER.parseComplete;
    case 'bind':
      return type === SERVER.bindComplete;
    case 'close':
      return type === SERVER.closeComplete;
    case 'describe-portal':
    case 'describe-statement':
      return type === SERVER.rowDescription || type === SERVER.noData;
    case 'execute':
      return type === SERVER.commandComplete || type === SERVER.emptyQuery || type === SERVER.portalSuspended;
  }
}
