// Makes one reply of several shards' replies to the same statement: headers once, rows as they come, one tag, one error.
// The tag waits for `finish`, so that a statement that must still be committed is not reported done.
import { SERVER } from '../protocol/message-type.ts';
import {
  COPY_DONE_RESPONSE,
  commandComplete,
  EMPTY_QUERY_RESPONSE,
  errorResponse,
} from '../protocol/server-message.ts';
import { readCommandComplete, readSqlError } from '../protocol/server-message-reader.ts';
import { type SqlError, sqlError } from '../protocol/sql-error.ts';
import type { ConnectionLost } from '../shard/branch-link.ts';
import type { ReplySink, ServerConnection } from '../shard/connection.ts';
import type { ClientWriter } from './client-writer.ts';
import { flushOrPause } from './relay.ts';
import type { Correction } from './rewritten-text.ts';

/** concat: rows of all shards, counts added up. first: the shards did the same, one of them is shown. */
export type MergeRule = 'concat' | 'first';

export type MergedEnd =
  | { readonly kind: 'complete'; readonly tag: string | undefined }
  | { readonly kind: 'error'; readonly error: SqlError }
  | { readonly kind: 'lost'; readonly shard: string; readonly lost: ConnectionLost };

export class MergedReply {
  readonly #writer: ClientWriter;
  readonly #rule: MergeRule;
  readonly #connections: ServerConnection[] = [];
  readonly #sinks: ShardSink[] = [];
  /** What the client sees before anything else of a success: its own ParseComplete and BindComplete. */
  #prefix: Buffer | undefined;
  /** How many header frames (descriptions) the client has got. */
  #headersShown = 0;
  #lead: ShardSink | undefined;
  readonly #correct: Correction | undefined;

  constructor(writer: ClientWriter, rule: MergeRule, prefix?: Buffer, correct?: Correction) {
    this.#writer = writer;
    this.#rule = rule;
    this.#prefix = prefix;
    this.#correct = correct;
  }

  /** The sink for one more shard; `onParsed` is called when the shard has accepted a Parse. */
  sinkFor(connection: ServerConnection, onParsed?: () => void): ReplySink {
    const sink = new ShardSink(this, connection, onParsed);
    this.#connections.push(connection);
    this.#sinks.push(sink);
    return sink;
  }

  /** Resolves when every shard has ended. A lost shard outweighs an error, because it may be unknown. */
  async ended(): Promise<MergedEnd> {
    const ends = await Promise.all(this.#sinks.map((sink) => sink.ended));
    const lost = ends.find((end) => end.kind === 'lost');
    if (lost !== undefined) return lost;
    const failed = ends.find((end) => end.kind === 'error');
    if (failed !== undefined) return this.#corrected(failed);
    const tags = ends.map((end) => (end.kind === 'complete' ? end.tag : undefined));
    if (this.#rule === 'concat') return { kind: 'complete', tag: sumTags(tags) };
    const first = tags[0];
    if (tags.every((tag) => tag === first)) return { kind: 'complete', tag: first };
    return { kind: 'error', error: divergence(this.#connections, tags) };
  }

  #corrected(end: MergedEnd): MergedEnd {
    return end.kind === 'error' && this.#correct !== undefined ? { ...end, error: this.#correct(end.error) } : end;
  }

  /** Sends the tag or the error, and nothing else: ReadyForQuery is the session's. */
  finish(end: Exclude<MergedEnd, { kind: 'lost' }>): void {
    if (end.kind === 'error') {
      this.#writer.write(errorResponse(end.error));
      return;
    }
    this.#showPrefix();
    if (this.#sinks.some((sink) => sink.copied)) this.#writer.write(COPY_DONE_RESPONSE);
    if (end.tag !== undefined) this.#writer.write(commandComplete(end.tag));
    // Without a tag nothing was executed: the client asked for descriptions only, up to a Flush.
    else if (this.#sinks.some((sink) => sink.empty)) this.#writer.write(EMPTY_QUERY_RESPONSE);
  }

  #showPrefix(): void {
    if (this.#prefix === undefined) return;
    this.#writer.write(this.#prefix);
    this.#prefix = undefined;
  }

  /** @internal */
  header(index: number, chunk: Buffer, start: number, end: number): void {
    if (index !== this.#headersShown) return;
    this.#headersShown++;
    this.#showPrefix();
    this.#writer.write(chunk.subarray(start, end));
  }

  /** @internal Rows and notices; with `first` only those of the shard that spoke first. */
  body(from: ShardSink, chunk: Buffer, start: number, end: number): void {
    this.#lead ??= from;
    if (this.#rule === 'first' && this.#lead !== from) return;
    this.#showPrefix();
    this.#writer.write(chunk.subarray(start, end));
  }

  /** @internal */
  chunkEnd(): void {
    flushOrPause(this.#writer, this.#connections);
  }
}

class ShardSink implements ReplySink {
  readonly ended: Promise<MergedEnd>;
  /** The shard has sent all of its COPY lines; the client hears so once, after those of all shards. */
  copied = false;
  /** The shard was given an empty statement. */
  empty = false;
  readonly #reply: MergedReply;
  readonly #connection: ServerConnection;
  readonly #onParsed: (() => void) | undefined;
  #resolve: (end: MergedEnd) => void = () => undefined;
  #headers = 0;
  #tag: string | undefined;
  #error: SqlError | undefined;

  constructor(reply: MergedReply, connection: ServerConnection, onParsed: (() => void) | undefined) {
    this.#reply = reply;
    this.#connection = connection;
    this.#onParsed = onParsed;
    this.ended = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  frame(type: number, chunk: Buffer, start: number, end: number): void {
    switch (type) {
      case SERVER.parseComplete:
        this.#onParsed?.();
        return;
      case SERVER.bindComplete:
      case SERVER.closeComplete:
        return;
      case SERVER.copyDone:
        this.copied = true;
        return;
      case SERVER.emptyQuery:
        this.empty = true;
        return;
      case SERVER.parameterDescription:
      case SERVER.copyOutResponse:
      case SERVER.rowDescription:
      case SERVER.noData:
        this.#reply.header(this.#headers++, chunk, start, end);
        return;
      case SERVER.commandComplete:
        this.#tag = readCommandComplete(chunk, start, end);
        return;
      case SERVER.error:
        this.#error ??= readSqlError(chunk, start, end);
        return;
      case SERVER.parameterStatus:
        return;
      default:
        this.#reply.body(this, chunk, start, end);
    }
  }

  chunkEnd(): void {
    this.#reply.chunkEnd();
  }

  ready(): void {
    this.#resolve(
      this.#error === undefined ? { kind: 'complete', tag: this.#tag } : { kind: 'error', error: this.#error },
    );
  }

  lost(lost: ConnectionLost): void {
    this.#resolve({ kind: 'lost', shard: this.#connection.shard, lost });
  }
}

/** `SELECT 3` + `SELECT 4` = `SELECT 7`; `INSERT 0 1` + `INSERT 0 2` = `INSERT 0 3`; tags without a count stay. */
export function sumTags(tags: readonly (string | undefined)[]): string | undefined {
  const first = tags[0];
  if (first === undefined) return undefined;
  const cut = first.lastIndexOf(' ') + 1;
  if (!/^\d+$/.test(first.slice(cut))) return first;
  let sum = 0;
  for (const tag of tags) sum += Number(tag?.slice(tag.lastIndexOf(' ') + 1) ?? 0);
  return `${first.slice(0, cut)}${sum}`;
}

function divergence(connections: readonly ServerConnection[], tags: readonly (string | undefined)[]): SqlError {
  const answers = connections.map((connection, index) => `${connection.shard}: ${tags[index] ?? 'nothing'}`);
  return sqlError('XX001', 'the shards answered one statement differently, so their copies of the data differ', {
    detail: answers.join(', '),
    hint: 'Compare the reference table on the shards and repair it with `/* atomshard: shard=… */` statements.',
  });
}
