// The text of the admin database's commands, as people and drivers write it.
import { describe, expect, it } from 'vitest';
import { type AdminCommand, readCommands } from '../../../src/proxy/admin/command.ts';
import { binaryOf, textOf } from '../../../src/proxy/admin/value.ts';

const show = (name: string): AdminCommand => ({ kind: 'command', name: `SHOW ${name}` as 'SHOW WAL', argument: '' });

describe('readCommands', () => {
  it.each<[string, readonly AdminCommand[]]>([
    ['', []],
    [' ; -- nothing\n ;/* at all */', []],
    ['show Status', [show('STATUS')]],
    ['SHOW WAL; show pools ;', [show('WAL'), show('POOLS')]],
    ['KILL 42', [{ kind: 'command', name: 'KILL', argument: '42' }]],
    [
      "SHOW ROUTE 'SELECT ''a''; SELECT 2'",
      [{ kind: 'command', name: 'SHOW ROUTE', argument: "SELECT 'a'; SELECT 2" }],
    ],
    ['SHOW ROUTE SELECT 1; SHOW WAL', [{ kind: 'command', name: 'SHOW ROUTE', argument: 'SELECT 1' }, show('WAL')]],
    ['SET extra_float_digits = 3', [{ kind: 'nothing', tag: 'SET' }]],
    // What asyncpg's pool sends between two uses.
    [
      'SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;',
      [
        { kind: 'select', items: ['PG_ADVISORY_UNLOCK_ALL'] },
        { kind: 'nothing', tag: 'CLOSE CURSOR ALL' },
        { kind: 'nothing', tag: 'UNLISTEN' },
        { kind: 'nothing', tag: 'RESET' },
      ],
    ],
    ['start transaction read only', [{ kind: 'nothing', tag: 'START TRANSACTION', block: 'begin' }]],
    ['SHOW TRANSACTION ISOLATION LEVEL', [{ kind: 'parameter', name: 'transaction_isolation' }]],
    ["SELECT 1, 'x', pg_catalog.version()", [{ kind: 'select', items: ['1', "'x'", 'VERSION'] }]],
  ])('%j', (text, commands) => {
    expect(readCommands(text)).toEqual(commands);
  });

  it.each([
    'DROP TABLE x',
    'SHOW',
    'SHOW STATUS x',
    'KILL',
    'KILL me',
    'SHOW ROUTE',
    'SELECT',
    'SELECT 1,',
    'SELECT 1 2',
    'SHOW toString',
    "SHOW ROUTE 'x",
    'RELOAD now',
    'constructor',
  ])('%j is a syntax error that points at the list', (text) => {
    expect(readCommands(text)).toMatchObject({ code: '42601', hint: expect.stringContaining('SHOW HELP') });
  });

  it('runs nothing of a text in which anything is wrong', () => {
    expect(readCommands('DRAIN; NONSENSE')).toMatchObject({ code: '42601' });
  });
});

describe('values', () => {
  it('times leave as PostgreSQL writes them, in text and in binary', () => {
    const ms = Date.UTC(2000, 0, 1, 0, 0, 1, 500);
    expect(textOf('timestamptz', ms)).toBe('2000-01-01 00:00:01.500+00');
    expect(binaryOf('timestamptz', ms)?.readBigInt64BE()).toBe(1_500_000n);
  });

  it.each([
    ['int8', 9_007_199_254_740_991, '001fffffffffffff'],
    ['int4', -1, 'ffffffff'],
    ['bool', true, '01'],
    ['float8', 1, '3ff0000000000000'],
    ['text', 'ä', 'c3a4'],
  ] as const)('%s %s in binary', (type, value, hex) => {
    expect(binaryOf(type, value)?.toString('hex')).toBe(hex);
  });
});
