import { describe, expect, it } from 'vitest';
import type { SqlError } from '../../../src/protocol/sql-error.ts';
import {
  classifyCommit,
  classifyFinish,
  classifyFinishError,
  classifyPrepare,
  isFatal,
} from '../../../src/transaction/classify-reply.ts';
import { complete, LOST, refused } from './fake-shard.ts';

const lost = { kind: 'lost', lost: LOST } as const;
const warning = (code: string, routine?: string): SqlError => {
  return { severity: 'WARNING', code, message: 'careful', ...(routine === undefined ? {} : { other: { R: routine } }) };
};
const DOUBT = warning('01000', 'SyncRepWaitForLSN');

describe('PREPARE', () => {
  it('is a yes only with its own tag', () => {
    expect(classifyPrepare('s', complete('PREPARE TRANSACTION'))).toEqual({ kind: 'yes', notices: [] });
    expect(classifyPrepare('s', complete('COMMIT')).kind).toBe('unknown');
    expect(classifyPrepare('s', complete('')).kind).toBe('unknown');
  });

  it('PgDog 14: answered with the tag ROLLBACK is a definite no that leaves nothing prepared', () => {
    expect(classifyPrepare('s', complete('ROLLBACK'))).toMatchObject({ kind: 'no', prepared: false });
  });

  it.each([
    ['01000 from the synchronous wait', DOUBT],
    ['01000 of an unknown origin', warning('01000')],
    ['57P01, the other way that wait is broken off', warning('57P01', 'SyncRepWaitForLSN')],
  ])('with a warning is a no that must be rolled back: %s', (_name, notice) => {
    const reply = complete('PREPARE TRANSACTION', [notice]);
    expect(classifyPrepare('s', reply)).toMatchObject({ kind: 'no', prepared: true, error: { code: '40000' } });
  });

  it.each([
    ['a warning that a trigger raised', warning('01000', 'exec_stmt_raise')],
    ['a warning with another code', warning('01004')],
    ['a notice', { severity: 'NOTICE', code: '01000', message: '' }],
  ])('with %s is a yes, and the client gets to see it', (_name, notice) => {
    expect(classifyPrepare('s', complete('PREPARE TRANSACTION', [notice]))).toEqual({ kind: 'yes', notices: [notice] });
  });

  it.each(['23505', '40001', '40P01', '42710', '53200', '55000', '57014', '0A000', 'XX000'])(
    'refused with ERROR %s is a definite no with the original error',
    (code) => {
      expect(classifyPrepare('s', refused(code))).toMatchObject({ kind: 'no', prepared: false, error: { code } });
    },
  );

  it.each(['57P01', '57P02', '57P03', '57P04', '57P05', '25P03', '25P04', '08006'])(
    'pgjdbc XA: %s ends the connection and says nothing about the command',
    (code) => {
      expect(classifyPrepare('s', refused(code)).kind).toBe('unknown');
      expect(isFatal({ severity: 'ERROR', code, message: '' })).toBe(true);
    },
  );

  it.each(['FATAL', 'PANIC'])('severity %s ends the connection whatever its code', (severity) => {
    expect(classifyPrepare('s', refused('XX000', 'boom', severity)).kind).toBe('unknown');
  });

  it('that is lost is unknown, and says what the backend said last', () => {
    expect(classifyPrepare('shard-1', lost)).toMatchObject({
      kind: 'unknown',
      error: { code: '40000', message: expect.stringContaining('shard-1'), detail: 'read ECONNRESET' },
    });
    const fatal = { severity: 'FATAL', code: '57P01', message: 'terminating connection' };
    const reply = { kind: 'lost', lost: { reason: 'fatal', message: 'x', fatal } } as const;
    expect(classifyPrepare('s', reply)).toMatchObject({ error: { detail: 'FATAL: terminating connection' } });
  });
});

describe('COMMIT', () => {
  it('is a yes with its tag, also with a replication warning, which PostgreSQL passes on as well', () => {
    expect(classifyCommit('s', complete('COMMIT', [DOUBT]))).toEqual({ kind: 'yes', notices: [DOUBT] });
  });

  it('is a definite no by the tag ROLLBACK or an ERROR, and unknown by anything else', () => {
    expect(classifyCommit('s', complete('ROLLBACK'))).toMatchObject({ kind: 'no' });
    expect(classifyCommit('s', refused('40001'))).toMatchObject({ kind: 'no', error: { code: '40001' } });
    expect(classifyCommit('s', complete('SELECT 1')).kind).toBe('unknown');
    expect(classifyCommit('s', lost).kind).toBe('unknown');
  });
});

describe('COMMIT PREPARED and ROLLBACK PREPARED', () => {
  it('are done by their own tag only', () => {
    expect(classifyFinish(complete('COMMIT PREPARED'), 'COMMIT PREPARED')).toBe('done');
    expect(classifyFinish(complete('ROLLBACK PREPARED'), 'ROLLBACK PREPARED')).toBe('done');
    expect(classifyFinish(complete('ROLLBACK PREPARED'), 'COMMIT PREPARED')).toBe('unknown');
    expect(classifyFinish(lost, 'COMMIT PREPARED')).toBe('unknown');
  });

  it('a commit that did not wait for its standby is verified, a rollback needs no standby', () => {
    expect(classifyFinish(complete('COMMIT PREPARED', [DOUBT]), 'COMMIT PREPARED')).toBe('verify');
    expect(classifyFinish(complete('ROLLBACK PREPARED', [DOUBT]), 'ROLLBACK PREPARED')).toBe('done');
  });

  it.each([
    ['55000', 'retry'],
    ['40001', 'retry'],
    ['40P01', 'retry'],
    ['53100', 'retry'],
    ['53200', 'retry'],
    ['57014', 'retry'],
    ['XX000', 'retry'],
    ['42704', 'verify'],
    ['42501', 'configuration'],
    ['0A000', 'configuration'],
    ['57P01', 'unknown'],
    ['25P03', 'unknown'],
  ] as const)('refused with %s: %s', (code, verdict) => {
    expect(classifyFinish(refused(code), 'COMMIT PREPARED')).toBe(verdict);
  });

  it('prepared transactions that are switched off are a matter of configuration, not of patience', () => {
    const hint = 'Set "max_prepared_transactions" to a nonzero value.';
    const error = { severity: 'ERROR', code: '55000', message: 'prepared transactions are disabled', hint };
    expect(classifyFinishError(error)).toBe('configuration');
  });
});
