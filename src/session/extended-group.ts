// A run of extended-protocol messages that go to the same place in one packet, and the script that makes the replies
// look as if the client's own messages had been sent: statements a connection lacks are injected, those it has are not
// sent again.

import { assert } from '../kernel/assert.ts';
import { bindValue, formatOf, readBind } from '../protocol/client-message.ts';
import { renameBind } from '../protocol/client-message-rewriter.ts';
import * as message from '../protocol/client-message-writer.ts';
import { BIND_COMPLETE, PARSE_COMPLETE } from '../protocol/server-message.ts';
import { readDataRow } from '../protocol/server-message-reader.ts';
import type { RoutePart } from '../routing/plan.ts';
import type { ServerConnection } from '../shard/connection.ts';
import { ASK_XID, PREPARE_XID_QUESTION } from '../shard/xid-question.ts';
import { connectionMemory } from './connection-memory.ts';
import type { Dispatch } from './dispatch.ts';
import { CLOSE, EXECUTE, type ScriptStep } from './relay.ts';
import { rememberShape } from './result-shape.ts';
import { type Correction, correctionFor, withoutPosition } from './rewritten-text.ts';
import type { ClientStatement } from './session-state.ts';
import { type StatementNames, sentText } from './statement-names.ts';

const BIND_UNNAMED = message.bind({});
const EXECUTE_UNNAMED = message.execute();
const HIDDEN_EXECUTE: ScriptStep = { kind: 'execute', hidden: true };

/** Statements that stay prepared on one server connection; the one unused for longest is closed first. */
const PREPARED_PER_CONNECTION_MAX = 500;

export type GroupItem =
  /** `confirmed` is called when the client has been told that the Parse succeeded. */
  | { readonly kind: 'parse'; readonly statement: ClientStatement; readonly confirmed: () => void }
  | { readonly kind: 'describe-statement'; readonly statement: ClientStatement }
  /** `parts`: each shard gets a text and values of its own. */
  | {
      readonly kind: 'bind';
      readonly statement: ClientStatement;
      readonly frame: Buffer;
      readonly parts?: readonly RoutePart[] | undefined;
    }
  | { readonly kind: 'describe-portal'; readonly statement: ClientStatement; readonly frame: Buffer }
  | { readonly kind: 'execute' | 'close-portal'; readonly frame: Buffer }
  /** A reply of the proxy's own, in its place. */
  | { readonly kind: 'own'; readonly bytes: Buffer };

/** Makes the unit for a connection out of the items. */
export function groupDispatch(items: readonly GroupItem[], names: StatementNames): Dispatch {
  return {
    carries: true,
    relay: (connection, riders) => {
      const unit = new UnitBuilder(connection, names);
      if (riders?.begin !== undefined) unit.begin(riders.begin);
      for (const item of items) unit.add(item);
      if (riders?.onXid !== undefined) unit.askXid(riders.onXid);
      return unit.finish();
    },
    merged: (connection, shard) => {
      const unit = new UnitBuilder(connection, names, shard);
      for (const item of items) unit.add(item);
      return { bytes: unit.finish().bytes, onParsed: unit.parsedInOrder() };
    },
    prefix: mergedPrefix(items),
    correct: correctionOf(items),
  };
}

/** In a merged reply the client's ParseComplete and BindComplete are written once, before the rest. */
function mergedPrefix(items: readonly GroupItem[]): Buffer {
  const shown: Buffer[] = [];
  for (const item of items) {
    if (item.kind === 'parse') shown.push(PARSE_COMPLETE);
    else if (item.kind === 'bind') shown.push(BIND_COMPLETE);
  }
  return Buffer.concat(shown);
}

/** Errors about a rewritten text are told in terms of the client's; among others nobody knows which text one is about. */
function correctionOf(items: readonly GroupItem[]): Correction | undefined {
  let rewritten: ClientStatement | undefined;
  let others = false;
  for (const item of items) {
    if (item.kind !== 'parse' && item.kind !== 'bind' && item.kind !== 'describe-statement') continue;
    if (item.kind === 'bind' && item.parts !== undefined) return withoutPosition;
    if (item.statement.planned?.rewritten === undefined || (rewritten ?? item.statement) !== item.statement)
      others = true;
    if (item.statement.planned?.rewritten !== undefined) rewritten = item.statement;
  }
  const text = rewritten?.planned?.rewritten;
  if (text === undefined) return undefined;
  return others ? withoutPosition : correctionFor(text);
}

class UnitBuilder {
  readonly #connection: ServerConnection;
  readonly #names: StatementNames;
  readonly #shard: number | undefined;
  readonly #parts: Buffer[] = [];
  readonly #script: ScriptStep[] = [];
  /** What the unnamed statement of the connection is within this unit. */
  #unnamed: ClientStatement | undefined;
  readonly #sentNames = new Set<string>();
  readonly #closing = new Set<string>();

  /** `shard` where units of several shards may differ. */
  constructor(connection: ServerConnection, names: StatementNames, shard?: number) {
    this.#connection = connection;
    this.#names = names;
    this.#shard = shard;
  }

  add(item: GroupItem): void {
    switch (item.kind) {
      case 'own':
        this.#script.push({ kind: 'own', bytes: item.bytes });
        return;
      case 'parse':
        this.#parse(item.statement, item.confirmed);
        return;
      case 'describe-statement':
        this.#parts.push(message.describe('statement', this.#present(item.statement)));
        this.#script.push({ kind: 'describe-statement', onDescribed: this.#rememberer(item.statement) });
        return;
      case 'bind': {
        if (item.parts !== undefined) {
          this.#bindPart(item.statement, item.frame, item.parts);
          return;
        }
        const name = this.#present(item.statement);
        const { frame } = item;
        this.#parts.push(name === item.statement.name ? frame : renameBind(frame, 0, frame.length, name));
        this.#script.push({ kind: 'bind', onRefused: this.#forgetStalePlans });
        return;
      }
      case 'describe-portal':
        this.#parts.push(item.frame);
        this.#script.push({ kind: 'describe-portal', onDescribed: this.#rememberer(item.statement) });
        return;
      case 'execute':
        this.#parts.push(item.frame);
        this.#script.push(EXECUTE);
        return;
      case 'close-portal':
        this.#parts.push(item.frame);
        this.#script.push(CLOSE);
    }
  }

  /** Opens the transaction block. Unnamed: nothing can deallocate it, and units never count on an unnamed statement. */
  begin(text: string): void {
    this.#parts.push(message.parse('', text), BIND_UNNAMED, EXECUTE_UNNAMED);
    this.#script.push({ kind: 'parse', hidden: true }, { kind: 'bind', hidden: true }, HIDDEN_EXECUTE);
  }

  askXid(onXid: (xid: string | null) => void): void {
    const { xidQuestion } = this.#connection;
    if (!xidQuestion.prepared) {
      this.#parts.push(PREPARE_XID_QUESTION);
      const onDone = () => {
        xidQuestion.prepared = true;
      };
      this.#script.push({ kind: 'close', hidden: true }, { kind: 'parse', hidden: true, onDone });
    }
    this.#parts.push(ASK_XID);
    const onRefused = () => {
      xidQuestion.prepared = false;
    };
    const onRow = (chunk: Buffer, start: number, end: number) => onXid(readDataRow(chunk, start, end)[0] ?? null);
    this.#script.push(
      { kind: 'bind', hidden: true, onRefused },
      { kind: 'execute', hidden: true, onRow },
      { kind: 'close', hidden: true },
    );
  }

  finish(): { bytes: Buffer; script: readonly ScriptStep[] } {
    this.#parts.push(message.SYNC);
    return { bytes: Buffer.concat(this.#parts), script: this.#script };
  }

  /** The name of the statement is that of now: DDL that runs meanwhile may change what is being described. */
  #rememberer(statement: ClientStatement) {
    const name = this.#names.nameOf(statement);
    return (chunk: Buffer, start: number, end: number) => rememberShape(statement, name, chunk, start, end);
  }

  /**
   * "cached plan must not change result type": DDL that did not go through this proxy. The driver will prepare the text
   * again, and must not get the same plan for it.
   */
  readonly #forgetStalePlans = (chunk: Buffer, start: number, end: number): void => {
    if (chunk.subarray(start, end).includes('RevalidateCachedQuery')) this.#names.forgetAll();
  };

  /** For merged replies: calls the hooks of this unit's Parse messages, one at each ParseComplete. */
  parsedInOrder(): () => void {
    const hooks = this.#script.flatMap((step) => (step.kind === 'parse' ? [step.onDone] : []));
    return () => hooks.shift()?.();
  }

  #parse(statement: ClientStatement, confirmed: () => void): void {
    const name = this.#names.nameOf(statement);
    if (name !== '' && this.#has(name)) {
      this.#script.push({ kind: 'own', bytes: PARSE_COMPLETE, onShown: confirmed });
      return;
    }
    this.#sendParse(statement, name, false, confirmed);
  }

  /** Makes sure that the connection has the statement when the next message is read; returns its name there. */
  #present(statement: ClientStatement): string {
    const name = this.#names.nameOf(statement);
    if (name === '' ? this.#unnamed !== statement : !this.#has(name)) this.#sendParse(statement, name, true);
    return name;
  }

  /** The rows of this shard alone, as an unnamed statement that nobody uses again. */
  #bindPart(statement: ClientStatement, frame: Buffer, parts: readonly RoutePart[]): void {
    const part = parts.find(({ shard }) => shard === this.#shard);
    assert(part !== undefined, 'a shard is sent the statement when rows of it are there');
    const { parameters = [] } = part;
    const whole = readBind(frame, 0, frame.length);
    const types = parameters.map((index) => statement.parameterTypes[index] ?? 0);
    this.#unnamed = undefined;
    this.#parts.push(
      message.parse('', part.text, types),
      message.bind({
        portal: whole.portal,
        parameterFormats: parameters.map((index) => formatOf(whole.parameterFormats, index)),
        values: parameters.map((index) => bindValue(whole, frame, index)),
        resultFormats: whole.resultFormats,
      }),
    );
    this.#script.push({ kind: 'parse', hidden: true }, { kind: 'bind' });
  }

  #has(name: string): boolean {
    const { prepared } = connectionMemory(this.#connection);
    if (!prepared.has(name)) return this.#sentNames.has(name);
    // Used now, so it is the youngest; and it must not be closed to make room within this unit.
    prepared.delete(name);
    prepared.add(name);
    return true;
  }

  #sendParse(statement: ClientStatement, name: string, hidden: boolean, confirmed?: () => void): void {
    if (name === '') this.#unnamed = statement;
    else this.#makeRoom();
    this.#sentNames.add(name);
    this.#parts.push(message.parse(name, sentText(statement), statement.parameterTypes));
    const { prepared } = connectionMemory(this.#connection);
    const onDone = () => {
      if (name !== '') prepared.add(name);
      confirmed?.();
    };
    this.#script.push({ kind: 'parse', hidden, onDone });
  }

  /** Forgets the oldest statement, but only once the server has said that it closed it: an error may skip the Close. */
  #makeRoom(): void {
    const { prepared } = connectionMemory(this.#connection);
    if (prepared.size - this.#closing.size < PREPARED_PER_CONNECTION_MAX) return;
    for (const oldest of prepared) {
      if (this.#closing.has(oldest) || this.#sentNames.has(oldest)) continue;
      this.#closing.add(oldest);
      this.#parts.push(message.close('statement', oldest));
      this.#script.push({ kind: 'close', hidden: true, onDone: () => prepared.delete(oldest) });
      return;
    }
  }
}
