// Which kind of failure an error of the driver is.
import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { DeadlineError } from '../../../../src/kernel/deadline.ts';
import { failureOf } from '../../../../src/operator/sql/sql-failure.ts';

function fromServer(code: string, message = 'said so'): pg.DatabaseError {
  const error = new pg.DatabaseError(message, 0, 'error');
  error.code = code;
  error.severity = 'ERROR';
  return error;
}

function fromSystem(code: string, message = code): Error {
  return Object.assign(new Error(message), { code });
}

describe('a failure', () => {
  it.each([
    ['starting', fromServer('57P03')],
    ['lost', fromServer('57P01')],
    ['authentication', fromServer('28P01')],
    ['authentication', fromServer('28000')],
    ['missing-database', fromServer('3D000')],
    ['full', fromServer('53300')],
    ['refused', fromServer('42501')],
    ['timeout', new DeadlineError('no answer within 5 ms')],
    ['unreachable', fromSystem('ECONNREFUSED')],
    ['unreachable', fromSystem('ENOTFOUND')],
    ['unreachable', new AggregateError([fromSystem('ECONNREFUSED')])],
    ['tls', fromSystem('DEPTH_ZERO_SELF_SIGNED_CERT')],
    ['tls', fromSystem('ERR_TLS_CERT_ALTNAME_INVALID')],
    ['tls', new Error('The server does not support SSL connections')],
    ['lost', fromSystem('ECONNRESET')],
    ['lost', new Error('Connection terminated unexpectedly')],
  ] as const)('%s: %s', (kind, error) => {
    expect(failureOf('shard-0', error)).toMatchObject({ kind, message: expect.stringMatching(/^shard-0: ./) });
  });

  it('has the server’s code, and no code that is not the server’s', () => {
    expect(failureOf('shard-0', fromServer('28P01'))).toMatchObject({ code: '28P01' });
    expect(failureOf('shard-0', fromSystem('ECONNREFUSED'))).not.toHaveProperty('code');
  });
});
