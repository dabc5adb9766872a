// Collects the reply to one simple command of our own: tag, notices, rows; what the commit protocol and recovery judge by.
import { SERVER } from '../protocol/message-type.ts';
import { readCommandComplete, readDataRow, readSqlError } from '../protocol/server-message-reader.ts';
import type { SqlError } from '../protocol/sql-error.ts';
import type { CommandReply, ConnectionLost } from './branch-link.ts';
import type { ReplySink } from './reply-sink.ts';

/** Our commands answer with a few rows; more than this means that something else is being read. */
const REPLY_BYTES_MAX = 16 * 1024 * 1024;

export class CommandCollector implements ReplySink {
  readonly #resolve: (reply: CommandReply) => void;
  readonly #abandon: (reason: string) => void;
  readonly #notices: SqlError[] = [];
  readonly #rows: (string | null)[][] = [];
  #tag = '';
  #error: SqlError | undefined;
  #bytes = 0;

  /** `abandon` closes the connection, which ends this unit as lost. */
  constructor(resolve: (reply: CommandReply) => void, abandon: (reason: string) => void) {
    this.#resolve = resolve;
    this.#abandon = abandon;
  }

  frame(type: number, chunk: Buffer, start: number, end: number): void {
    this.#bytes += end - start;
    if (this.#bytes > REPLY_BYTES_MAX) {
      this.#abandon('the reply to a command is too large');
      return;
    }
    switch (type) {
      case SERVER.commandComplete:
        this.#tag = readCommandComplete(chunk, start, end);
        return;
      case SERVER.dataRow:
        this.#rows.push(readDataRow(chunk, start, end));
        return;
      case SERVER.error:
        // The first error is the reason; another one could only follow from it.
        this.#error ??= readSqlError(chunk, start, end);
        return;
      case SERVER.notice:
        this.#notices.push(readSqlError(chunk, start, end));
        return;
      case SERVER.copyInResponse:
      case SERVER.copyBothResponse:
        this.#abandon('a command began a COPY');
        return;
      default:
        return;
    }
  }

  chunkEnd(): void {
    // The reply is given whole, at ready().
  }

  ready(): void {
    if (this.#error !== undefined) this.#resolve({ kind: 'error', error: this.#error });
    else this.#resolve({ kind: 'complete', tag: this.#tag, notices: this.#notices, rows: this.#rows });
  }

  lost(lost: ConnectionLost): void {
    this.#resolve({ kind: 'lost', lost });
  }
}
