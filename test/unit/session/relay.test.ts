import { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { SERVER } from '../../../src/protocol/message-type.ts';
import {
  BIND_COMPLETE,
  CLOSE_COMPLETE,
  commandComplete,
  dataRow,
  errorResponse,
  NO_DATA,
  PARSE_COMPLETE,
} from '../../../src/protocol/server-message.ts';
import { sqlError } from '../../../src/protocol/sql-error.ts';
import { ClientWriter } from '../../../src/session/client-writer.ts';
import { EXECUTE, RelaySink, type ScriptStep } from '../../../src/session/relay.ts';
import type { ServerConnection } from '../../../src/shard/connection.ts';

const BIND: ScriptStep = { kind: 'bind' };
const DESCRIBE_PORTAL: ScriptStep = { kind: 'describe-portal' };

/** Sends frames through a sink, cut into chunks as given, and returns the letters that the client would see. */
function relayed(
  chunks: readonly (readonly Buffer[])[],
  script?: readonly ScriptStep[],
): { letters: string; writes: number } {
  const written: Buffer[] = [];
  const socket = new Socket();
  socket.write = ((bytes: Buffer) => written.push(bytes) > 0) as typeof socket.write;
  const sink = new RelaySink(new ClientWriter(socket), undefined as unknown as ServerConnection, script);
  for (const frames of chunks) {
    const chunk = Buffer.concat(frames);
    let at = 0;
    for (const frame of frames) {
      sink.frame(frame.readUInt8(0), chunk, at, at + frame.length);
      at += frame.length;
    }
    sink.chunkEnd();
  }
  sink.ready(0x49);
  const bytes = Buffer.concat(written);
  let letters = '';
  for (let at = 0; at < bytes.length; at += 1 + bytes.readInt32BE(at + 1))
    letters += String.fromCharCode(bytes.readUInt8(at));
  return { letters, writes: written.length };
}

const ROW = dataRow(['x']);
const DONE = commandComplete('SELECT 1');

describe('relay', () => {
  it('passes everything on, one write per chunk', () => {
    expect(
      relayed([
        [PARSE_COMPLETE, BIND_COMPLETE, NO_DATA],
        [ROW, ROW, DONE],
      ]),
    ).toEqual({ letters: '12nDDC', writes: 2 });
  });

  it('hides the reply to a Parse that the proxy injected', () => {
    const script: ScriptStep[] = [{ kind: 'parse', hidden: true }, BIND, EXECUTE];
    expect(relayed([[PARSE_COMPLETE, BIND_COMPLETE, ROW, DONE]], script).letters).toBe('2DC');
  });

  it('puts in the reply to a Parse that was not sent, in its place', () => {
    let shown = 0;
    const own: ScriptStep = { kind: 'own', bytes: PARSE_COMPLETE, onShown: () => shown++ };
    const script: ScriptStep[] = [
      own,
      BIND,
      EXECUTE,
      own,
      BIND,
      DESCRIBE_PORTAL,
      EXECUTE,
      { kind: 'own', bytes: CLOSE_COMPLETE },
    ];
    expect(relayed([[BIND_COMPLETE, DONE], [BIND_COMPLETE], [NO_DATA, ROW, DONE]], script).letters).toBe('12C12nDC3');
    expect(shown).toBe(2);
  });

  it('after an error nothing of its own is put in any more', () => {
    const script: ScriptStep[] = [BIND, EXECUTE, { kind: 'own', bytes: PARSE_COMPLETE }, BIND, EXECUTE];
    expect(relayed([[BIND_COMPLETE, errorResponse(sqlError('22012', 'division by zero'))]], script).letters).toBe('2E');
  });

  it('hides what rides along: BEGIN in front, the question for the xid behind, whose answer is heard', () => {
    const heard: string[] = [];
    const onRow = (chunk: Buffer, start: number, end: number) => heard.push(chunk.toString('latin1', start, end));
    const script: ScriptStep[] = [
      { kind: 'parse', hidden: true },
      { kind: 'bind', hidden: true },
      { kind: 'execute', hidden: true },
      BIND,
      EXECUTE,
      { kind: 'bind', hidden: true },
      { kind: 'execute', hidden: true, onRow },
      { kind: 'close', hidden: true },
    ];
    const begin = [PARSE_COMPLETE, BIND_COMPLETE, commandComplete('BEGIN')];
    const question = [BIND_COMPLETE, dataRow(['735']), DONE, CLOSE_COMPLETE];
    expect(relayed([[...begin, BIND_COMPLETE, ROW, DONE, ...question]], script)).toEqual({ letters: '2DC', writes: 1 });
    expect(relayed([begin, [BIND_COMPLETE, ROW], [DONE], question], script).letters).toBe('2DC');
    expect(heard.map((row) => row.endsWith('735'))).toEqual([true, true]);
    const refused = [BIND_COMPLETE, errorResponse(sqlError('22012', 'division by zero'))];
    expect(relayed([[...begin, ...refused]], script).letters).toBe('2E');
    expect(heard).toHaveLength(2);
  });

  it('a statement counts as prepared only when the shard said so', () => {
    let prepared = 0;
    const script: ScriptStep[] = [{ kind: 'parse', hidden: true, onDone: () => prepared++ }, BIND, EXECUTE];
    relayed([[errorResponse(sqlError('42P01', 'no such table'))]], script);
    expect(prepared).toBe(0);
    relayed([[PARSE_COMPLETE, BIND_COMPLETE, DONE]], script);
    expect(prepared).toBe(1);
    expect(SERVER.parseComplete).toBe(0x31);
  });
});
