// ServerConnection against a server that misbehaves on purpose: every unit ends once, and unknown is never called an error.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/kernel/clock.ts';
import { query } from '../../../src/protocol/client-message-writer.ts';
import { STATUS } from '../../../src/protocol/message-type.ts';
import * as write from '../../../src/protocol/server-message.ts';
import { ServerConnection } from '../../../src/shard/connection.ts';
import { ConnectFailure } from '../../../src/shard/target.ts';
import { FakeServer, fatal, reply } from './fake-server.ts';
import { ManualClock, settle } from './manual-clock.ts';
import { RecordingSink } from './recording-sink.ts';

let server: FakeServer;
beforeEach(async () => {
  server = await FakeServer.start();
});
afterEach(async () => {
  await server[Symbol.asyncDispose]();
});

const connect = () => ServerConnection.connect(server.target, { clock: systemClock, connectTimeoutMs: 5_000 });

async function failureOf(connecting: Promise<unknown>): Promise<ConnectFailure> {
  const failure = await connecting.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(failure instanceof ConnectFailure)) throw new Error(`expected a ConnectFailure, got ${String(failure)}`);
  return failure;
}

describe('connecting', () => {
  it('names itself, asks for UTF-8 and learns who answers before anybody gets the connection', async () => {
    const connection = await connect();
    expect(Object.fromEntries(server.backend.startup)).toEqual({
      user: 'u',
      database: 'db',
      client_encoding: 'UTF8',
      application_name: 'as1:c:i.1',
    });
    expect(connection.identity).toEqual({
      systemIdentifier: '7001',
      timeline: 1,
      backendPid: server.backend.pid,
      backendStart: expect.stringContaining('2026-01-01') as string,
    });
    expect(connection.facts).toMatchObject({ versionNum: 180_004, maxPreparedTransactions: 64 });
    expect([...connection.parameters]).toEqual([['TimeZone', 'UTC']]);
    expect([connection.pendingUnits, connection.transactionStatus, connection.reusable]).toEqual([
      0,
      STATUS.idle,
      true,
    ]);
  });

  it('never lets startup parameters of the configuration replace the name that recovery fences by', async () => {
    const parameters = { application_name: 'psql', client_encoding: 'LATIN1' };
    await ServerConnection.connect({ ...server.target, parameters }, { clock: systemClock, connectTimeoutMs: 5_000 });
    expect(server.backend.startup.get('application_name')).toBe('as1:c:i.1');
    expect(server.backend.startup.get('client_encoding')).toBe('UTF8');
  });

  it('Zalando #1928: a server in recovery is refused, whoever sent us there', async () => {
    server.facts.standby = 't';
    server.facts.timeline = '';
    const failure = await failureOf(connect());
    expect(failure).toMatchObject({ kind: 'standby', sqlError: { code: '57P03' } });
    expect(failure.message).toContain('shard "shard-1"');
  });

  it.each([
    ['140004', 'unfit'],
    ['130022', 'unfit'],
    ['nonsense', 'unfit'],
  ])('refuses server version %s', async (version, kind) => {
    server.facts.version = version;
    expect((await failureOf(connect())).kind).toBe(kind);
  });

  it('refuses a server that does not tell its identity', async () => {
    server.facts.timeline = '';
    expect((await failureOf(connect())).kind).toBe('protocol');
  });

  it.each([
    ['57P03', 'refused', '57P03'],
    ['53300', 'refused', '53300'],
    ['3D000', 'refused', '3D000'],
    ['28P01', 'authentication', '08001'],
    ['XX000', 'refused', '08001'],
  ] as const)('tells a FATAL %s at login with shard, address and what the server said', async (code, kind, told) => {
    server.greeting = fatal(code, 'no luck');
    const failure = await failureOf(connect());
    expect(failure.kind).toBe(kind);
    expect(failure.sqlError).toEqual({
      severity: 'ERROR',
      code: told,
      message: `cannot connect to shard "shard-1" at 127.0.0.1:${server.target.port}: no luck`,
      detail: `The server said ${code}: no luck`,
    });
  });

  it.each([
    ['a server that hangs up', Buffer.alloc(0), 'unreachable'],
    ['another protocol', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'), 'protocol'],
    ['readiness without authentication', write.READY_IDLE, 'protocol'],
    ['a password request where none is configured', write.AUTHENTICATION_CLEARTEXT, 'authentication'],
    ['a method that is not known', Buffer.from('R\0\0\0\x08\0\0\0\x07'), 'authentication'],
    ['rows before the login', write.dataRow(['x']), 'protocol'],
    ['a broken message', Buffer.from('K\0\0\0\x05\0'), 'protocol'],
  ] as const)('fails with a reason on %s', async (_, greeting, kind) => {
    server.greeting = greeting;
    expect((await failureOf(connect())).kind).toBe(kind);
  });

  it('does not believe an OK that comes before the server proved that it knows the password', async () => {
    server.greeting = Buffer.concat([
      write.authenticationSasl(['SCRAM-SHA-256']),
      write.AUTHENTICATION_OK,
      write.READY_IDLE,
    ]);
    const target = { ...server.target, password: 'secret' };
    const failure = await failureOf(ServerConnection.connect(target, { clock: systemClock, connectTimeoutMs: 5_000 }));
    expect(failure.kind).toBe('authentication');
    expect(failure.message).toContain('did not prove');
  });

  it('gives up in time when the server does not answer', async () => {
    server.held = [];
    const clock = new ManualClock();
    const failure = failureOf(ServerConnection.connect(server.target, { clock, connectTimeoutMs: 700 }));
    await settle();
    await clock.advance(700);
    expect(await failure).toMatchObject({ kind: 'timeout', sqlError: { code: '08001' } });
  });
});

describe('units', () => {
  it('end in the order they were sent, and all of one tick leave in one write', async () => {
    const connection = await connect();
    const log: string[] = [];
    const readsBefore = server.backend.reads;
    const sinks = ['a', 'b', 'c'].map((name) => new RecordingSink(name, log));
    for (const sink of sinks) connection.send(query(sink.name), sink);
    expect(connection.pendingUnits).toBe(3);
    await Promise.all(sinks.map((sink) => sink.over));
    await settle();
    expect(server.backend.queries).toEqual(['a', 'b', 'c']);
    expect(server.backend.reads - readsBefore).toBe(1);
    expect(log.filter((line) => line.includes('ready'))).toEqual(['a:ready I', 'b:ready I', 'c:ready I']);
    expect(connection.pendingUnits).toBe(0);
  });

  it('hear the end of a socket read after their frames, also when they are over', async () => {
    const connection = await connect();
    server.onQuery = ({ socket }) => {
      socket.write(Buffer.concat([write.dataRow(['1']), write.dataRow(['2']), reply('SELECT 2')]));
    };
    const sink = new RecordingSink();
    connection.send(query('q'), sink);
    await sink.over;
    await settle();
    expect(sink.heard).toEqual(['D', 'D', 'C', 'ready I', 'flush']);
  });

  it('get parameters and notices that come within them; between them parameters are kept and notices counted', async () => {
    const connection = await connect();
    const strays: number[] = [];
    connection.onUnsolicited = (type) => strays.push(type);
    const notice = write.noticeResponse({ severity: 'WARNING', code: '01000', message: 'w' });
    server.backend.socket.write(Buffer.concat([notice, write.parameterStatus('TimeZone', 'CET')]));
    await settle();
    expect(connection.parameters.get('TimeZone')).toBe('CET');
    expect(connection.strayNotices).toBe(1);
    expect(strays).toHaveLength(2);
    expect(connection.closed).toBe(false);
  });

  it('a server that dies in the middle leaves them lost, never refused', async () => {
    const connection = await connect();
    server.onQuery = ({ socket }) => {
      socket.write(write.dataRow(['1']));
      setImmediate(() => socket.destroy());
    };
    const [first, second] = [new RecordingSink(), new RecordingSink()];
    connection.send(query('1'), first);
    connection.send(query('2'), second);
    await Promise.all([first.over, second.over]);
    expect(first.heard.at(-1)).toBe('lost socket');
    expect(second.heard).toEqual(['lost socket']);
    expect(connection.closed).toBe(true);
  });

  it('pgjdbc XA: a 57P01 in the middle is the end of the connection, not an answer', async () => {
    const connection = await connect();
    server.onQuery = ({ socket }) => {
      socket.write(Buffer.concat([fatal('57P01', 'terminating connection'), reply('OK')]));
    };
    const replies = await Promise.all([connection.command('PREPARE TRANSACTION'), connection.command('x')]);
    for (const answer of replies) {
      expect(answer).toMatchObject({ kind: 'lost', lost: { reason: 'fatal', fatal: { code: '57P01' } } });
    }
  });

  it.each([
    ['a reply that nobody asked for', write.dataRow(['1'])],
    ['ReadyForQuery that nobody asked for', write.READY_IDLE],
    ['an ERROR that nobody asked for', write.errorResponse({ severity: 'ERROR', code: 'XX000', message: 'm' })],
    ['a frame of a wrong length', Buffer.from('D\0\0\0\x01')],
    ['a status that does not exist', Buffer.from('Z\0\0\0\x05X')],
  ])('%s means that we are out of step: the connection ends', async (_, bytes) => {
    const connection = await connect();
    let lost = '';
    connection.onClosed = ({ reason }) => {
      lost = reason;
    };
    server.backend.socket.write(bytes);
    await settle();
    expect([connection.closed, lost]).toEqual([true, 'protocol']);
  });

  it('57P01 while idle closes it with the reason kept', async () => {
    const connection = await connect();
    server.backend.socket.end(fatal('57P01', 'terminating connection due to administrator command'));
    await settle();
    expect(connection.closed).toBe(true);
    expect(await connection.command('x')).toMatchObject({
      kind: 'lost',
      lost: { reason: 'fatal', fatal: { code: '57P01' } },
    });
  });

  it('each ends once when a sink destroys the connection while it is told', async () => {
    const connection = await connect();
    server.onQuery = ({ socket }) => void socket.write(Buffer.concat([write.dataRow(['1']), reply('X'), reply('Y')]));
    const [first, second] = [new RecordingSink(), new RecordingSink()];
    first.onHeard = (what) => {
      if (what === 'D') connection.destroy('enough');
    };
    connection.send(query('1'), first);
    connection.send(query('2'), second);
    await settle();
    expect(first.heard).toEqual(['D', 'lost destroyed']);
    expect(second.heard).toEqual(['lost destroyed']);
  });

  it('rows of a COPY that come after the server ended it are dropped', async () => {
    const connection = await connect();
    await connection.command('COPY');
    const readsBefore = server.backend.reads;
    connection.sendMore(Buffer.from('d\0\0\0\x05x'));
    await settle();
    expect(server.backend.reads).toBe(readsBefore);
  });

  it('wait while reading is paused', async () => {
    const connection = await connect();
    const sink = new RecordingSink();
    sink.onHeard = (what) => {
      if (what === 'flush') connection.pauseReading();
    };
    server.onQuery = ({ socket }) => {
      socket.write(write.dataRow(['1']));
      setTimeout(() => socket.write(reply('OK')), 5);
    };
    connection.send(query('1'), sink);
    while (!sink.heard.includes('flush')) await settle();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(sink.heard).toEqual(['D', 'flush']);
    connection.resumeReading();
    await sink.over;
  });

  it('a pause ends with the last unit, so that the next user is not held up by a slow client of the last', async () => {
    const connection = await connect();
    const sink = new RecordingSink();
    // While it runs, at its end, and after it, when a slow client is noticed only by the flush.
    sink.onHeard = () => connection.pauseReading();
    server.onQuery = ({ socket }) => void socket.write(Buffer.concat([write.dataRow(['1']), reply('OK')]));
    connection.send(query('1'), sink);
    await sink.over;
    await settle();
    expect(sink.heard).toEqual(['D', 'C', 'ready I', 'flush']);
    expect((await connection.command('2')).kind).toBe('complete');
  });
});

describe('commands', () => {
  it('collect tag, notices and rows', async () => {
    const connection = await connect();
    server.onQuery = ({ socket }) => {
      const notice = write.noticeResponse({ severity: 'WARNING', code: '01000', message: 'w' });
      socket.write(Buffer.concat([write.rowDescription([]), write.dataRow(['1', null]), notice, reply('SELECT 1')]));
    };
    expect(await connection.command('q')).toEqual({
      kind: 'complete',
      tag: 'SELECT 1',
      rows: [['1', null]],
      notices: [{ severity: 'WARNING', code: '01000', message: 'w' }],
    });
  });

  it('keep PREPARE answered with the tag ROLLBACK visible (PgDog 14)', async () => {
    const connection = await connect();
    server.onQuery = ({ socket }) => void socket.write(reply('ROLLBACK'));
    expect(await connection.command("PREPARE TRANSACTION 'g'")).toMatchObject({ kind: 'complete', tag: 'ROLLBACK' });
  });

  it('are errors when the server says ERROR, and the connection lives on', async () => {
    const connection = await connect();
    server.onQuery = ({ socket }) => {
      const error = write.errorResponse({ severity: 'ERROR', code: '42601', message: 'm' });
      socket.write(Buffer.concat([error, write.READY_FAILED]));
    };
    expect(await connection.command('q')).toEqual({
      kind: 'error',
      error: { severity: 'ERROR', code: '42601', message: 'm' },
    });
    expect([connection.closed, connection.transactionStatus, connection.reusable]).toEqual([
      false,
      STATUS.failed,
      false,
    ]);
  });

  it('that begin a COPY end the connection instead of waiting for ever', async () => {
    const connection = await connect();
    server.onQuery = ({ socket }) => void socket.write(write.copyResponse('in', 0, []));
    expect(await connection.command('COPY t FROM STDIN')).toMatchObject({ kind: 'lost', lost: { reason: 'protocol' } });
  });
});

describe('cancelling', () => {
  it('keeps the connection from the next user until the request has been delivered', async () => {
    const connection = await connect();
    server.holdCancels = false;
    const cancelling = connection.cancel();
    expect(connection.reusable).toBe(false);
    await cancelling;
    expect(server.cancels).toEqual([server.backend.pid]);
    expect(connection.reusable).toBe(true);
  });

  it('gives the connection up when nobody knows whether the request arrived', async () => {
    const clock = new ManualClock();
    const connection = await ServerConnection.connect(server.target, { clock, connectTimeoutMs: 1_000 });
    server.holdCancels = true;
    const cancelling = connection.cancel();
    expect(connection.cancel()).toBe(cancelling);
    await settle();
    await clock.advance(5_000);
    await cancelling;
    expect([connection.closed, connection.reusable]).toEqual([false, false]);
  });
});

describe('closing', () => {
  it('says Terminate, waits for the server to hang up, and is over for everybody', async () => {
    const connection = await connect();
    let closed = 0;
    connection.onClosed = () => {
      closed += 1;
    };
    await connection.close();
    await connection.close();
    expect([closed, connection.closed]).toEqual([1, true]);
    expect(server.backend.socket.readableEnded).toBe(true);
  });
});
