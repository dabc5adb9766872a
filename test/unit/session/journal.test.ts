import { describe, expect, it } from 'vitest';
import { TransactionJournal } from '../../../src/session/journal.ts';
import { NO_SETTINGS, setStatement, withSetting } from '../../../src/session/settings.ts';

describe('transaction journal', () => {
  it('a late shard hears BEGIN with its modes, then savepoints and SETs in order', () => {
    const journal = new TransactionJournal('ISOLATION LEVEL SERIALIZABLE');
    journal.savepoint('a"b');
    journal.set('SET LOCAL work_mem = 1');
    journal.savepoint('c');
    expect(journal.replay()).toEqual([
      'BEGIN ISOLATION LEVEL SERIALIZABLE',
      'SAVEPOINT "a""b"',
      'SET LOCAL work_mem = 1',
      'SAVEPOINT "c"',
    ]);
  });

  it('ROLLBACK TO forgets what came after the savepoint and keeps the savepoint', () => {
    const journal = new TransactionJournal('');
    journal.savepoint('a');
    journal.set('SET x = 1');
    journal.savepoint('b');
    journal.rollbackTo('a');
    expect(journal.replay()).toEqual(['BEGIN', 'SAVEPOINT "a"']);
    expect(journal.hasSavepoint('b')).toBe(false);
  });

  it('of two savepoints with one name the younger is meant, and the older is there again after its release', () => {
    const journal = new TransactionJournal('');
    journal.savepoint('a');
    journal.set('SET x = 1');
    journal.savepoint('a');
    journal.set('SET x = 2');
    journal.rollbackTo('a');
    expect(journal.replay()).toEqual(['BEGIN', 'SAVEPOINT "a"', 'SET x = 1', 'SAVEPOINT "a"']);
    journal.release('a');
    expect(journal.replay()).toEqual(['BEGIN', 'SAVEPOINT "a"', 'SET x = 1']);
  });

  it('RELEASE keeps what was set inside and drops the savepoints within', () => {
    const journal = new TransactionJournal('');
    journal.savepoint('a');
    journal.savepoint('b');
    journal.set('SET x = 1');
    journal.release('a');
    expect(journal.replay()).toEqual(['BEGIN', 'SET x = 1']);
  });

  it('only SETs of the session outlive COMMIT', () => {
    const journal = new TransactionJournal('');
    const sql = setStatement('work_mem', '5MB');
    journal.set(sql, (before) => withSetting(before, 'work_mem', sql));
    journal.set('SET LOCAL lock_timeout = 1');
    expect(journal.settingsAfterCommit(NO_SETTINGS).statements).toEqual(new Map([['work_mem', sql]]));
    expect(journal.hasSettings).toBe(true);
  });
});
