// Utility statements: what the session is told to do, and the SQL it replays.
import { describe, expect, it } from 'vitest';
import type { StatementAction } from '../../../src/sql/action.ts';
import { classifyUtility } from '../../../src/sql/classify.ts';
import { loadParser, parse } from '../../../src/sql/parser.ts';

await loadParser();

function actionOf(text: string): StatementAction {
  const outcome = parse(text);
  const [statement] = outcome.kind === 'parsed' ? outcome.statements : [];
  if (statement === undefined) throw new Error(`${text} does not parse`);
  return classifyUtility(statement.node, statement.text);
}

describe('transaction control', () => {
  it.each<[string, StatementAction]>([
    ['begin', { kind: 'begin', modes: '' }],
    [
      'start transaction isolation level serializable read only deferrable',
      { kind: 'begin', modes: 'ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE' },
    ],
    ['begin read write not deferrable', { kind: 'begin', modes: 'READ WRITE, NOT DEFERRABLE' }],
    ['end', { kind: 'commit', chain: false }],
    ['commit and chain', { kind: 'commit', chain: true }],
    ['abort', { kind: 'rollback', chain: false }],
    ['rollback and chain', { kind: 'rollback', chain: true }],
    ['savepoint "A b"', { kind: 'savepoint', name: 'A b' }],
    ['release savepoint s', { kind: 'release', name: 's' }],
    ['rollback to s', { kind: 'rollbackTo', name: 's' }],
    ["prepare transaction 'g'", { kind: 'preparedTransaction', verb: 'prepare', gid: 'g' }],
    ["rollback prepared 'g'", { kind: 'preparedTransaction', verb: 'rollback', gid: 'g' }],
    [
      'set transaction isolation level repeatable read',
      { kind: 'setTransaction', modes: 'ISOLATION LEVEL REPEATABLE READ' },
    ],
    [
      'set session characteristics as transaction read only',
      {
        kind: 'setSessionCharacteristics',
        modes: 'READ ONLY',
        sql: 'SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY',
      },
    ],
    ['set constraints all deferred', { kind: 'setConstraints', sql: 'set constraints all deferred' }],
  ])('%s', (text, action) => {
    expect(actionOf(text)).toEqual(action);
  });
});

describe('settings', () => {
  it.each<[string, Partial<StatementAction>]>([
    ["SET Work_Mem = '4MB'", { name: 'work_mem', local: false, value: '4MB', sql: 'SET "work_mem" TO \'4MB\'' }],
    [
      'set local statement_timeout to 100',
      { name: 'statement_timeout', local: true, value: '100', sql: 'SET "statement_timeout" TO \'100\'' },
    ],
    [
      'set search_path to a, \'B c\', "$user"',
      { value: 'a, "B c", "$user"', sql: "SET \"search_path\" TO 'a', 'B c', '$user'" },
    ],
    ["set time zone 'UTC'", { name: 'timezone', value: 'UTC' }],
    [
      "set time zone interval '1' hour to minute",
      { name: 'timezone', sql: "set time zone interval '1' hour to minute" },
    ],
    ['set datestyle to iso, dmy', { value: 'iso, dmy' }],
    ['set x.y to default', { name: 'x.y', value: null, sql: 'RESET "x"."y"' }],
    ['reset work_mem', { name: 'work_mem', value: null, sql: 'RESET "work_mem"' }],
    ["set a.b = 'it''s \\ here'", { value: "it's \\ here", sql: 'SET "a"."b" TO  E\'it\'\'s \\\\ here\'' }],
    ["set local atomshard.shard = 'shard-1'", { name: 'atomshard.shard', local: true, value: 'shard-1' }],
    ['set role none', { name: 'role', value: 'none' }],
    ["set names 'UTF8'", { name: 'client_encoding', value: 'UTF8' }],
  ])('%s', (text, action) => {
    expect(actionOf(text)).toMatchObject({ kind: 'set', ...action });
  });

  it('a replayed SET parses back to the same', () => {
    for (const text of ["set x = 'a\\b''c'", 'set search_path to a, "B"', "set y.z = '$1; drop table t --'"]) {
      const first = actionOf(text);
      if (first.kind !== 'set') throw new Error(text);
      expect(actionOf(first.sql)).toMatchObject({ kind: 'set', name: first.name, value: first.value });
    }
  });
});

describe('the rest', () => {
  it.each<[string, StatementAction]>([
    ['reset all', { kind: 'resetAll' }],
    ['show Work_Mem', { kind: 'show', name: 'work_mem' }],
    ['discard all', { kind: 'discard', what: 'all' }],
    ['discard temp', { kind: 'discard', what: 'temp' }],
    ['deallocate all', { kind: 'deallocate', name: null }],
    ['deallocate a', { kind: 'deallocate', name: 'a' }],
    ['close all', { kind: 'cursor', verb: 'close', name: null }],
    ['fetch 5 from c', { kind: 'cursor', verb: 'fetch', name: 'c' }],
    ['explain (analyze) select 1', { kind: 'explain', analyze: true }],
    ['explain (analyze off) select 1', { kind: 'explain', analyze: false }],
    ['explain select 1', { kind: 'explain', analyze: false }],
    ['copy t from stdin', { kind: 'copy', direction: 'in', merge: 'concat' }],
    ['truncate t', { kind: 'query', merge: 'first' }],
    ['vacuum t', { kind: 'ddlOutsideTransaction' }],
    ['analyze t', { kind: 'ddl' }],
    ['drop index concurrently i', { kind: 'ddlOutsideTransaction' }],
    ['reindex (concurrently) table t', { kind: 'ddlOutsideTransaction' }],
    ['reindex table t', { kind: 'ddl' }],
    ['alter system set a = 1', { kind: 'ddlOutsideTransaction' }],
    ['create table t (a int)', { kind: 'ddl' }],
    ['grant select on t to public', { kind: 'ddl' }],
    ['unlisten *', { kind: 'notification', verb: 'unlisten' }],
    ['call p()', { kind: 'procedure' }],
  ])('%s', (text, action) => {
    expect(actionOf(text)).toEqual(action);
  });
});
