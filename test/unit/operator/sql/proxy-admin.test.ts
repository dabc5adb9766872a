// SHOW STATUS as the operator reads it: every column of the contract, and rows that are not understood.
import { describe, expect, it } from 'vitest';
import { readProxyFacts } from '../../../../src/operator/sql/proxy-admin.ts';

const ROW: Readonly<Record<string, string | null>> = {
  instance: 'proxy-0',
  state: 'Active',
  ready: 't',
  not_ready_reason: null,
  version: '0.1.0',
  config_sha256: 'ab12',
  config_error: null,
  restart_needed: 'listen.port, wal.directory',
  wal_id: '0193-a',
  epoch: '1789',
  oldest: '1',
  applied: '40',
  committed: '42',
  durable: '42',
  appended: '43',
  wal_segments: '2',
  wal_bytes: '134217728',
  wal_free_bytes: '1000000',
  in_doubt: '0',
  held: '0',
  clients: '7',
  running: '1',
  last_recovery_at: '2026-11-21 14:02:03.456+00',
  last_recovery_committed: '1',
  last_recovery_rolled_back: '2',
  last_recovery_rolled_back_ids: 'k:proxy-0.1.2,k:proxy-0.1.3',
  last_recovery_held: '0',
};

const result = (row: Readonly<Record<string, string | null>>) => ({
  columns: Object.keys(row),
  rows: [Object.values(row)],
});

describe('the row of SHOW STATUS', () => {
  it('is read whole', () => {
    expect(readProxyFacts(result(ROW))).toEqual({
      instance: 'proxy-0',
      state: 'Active',
      ready: true,
      notReadyReason: null,
      version: '0.1.0',
      configSha256: 'ab12',
      configError: null,
      restartNeeded: ['listen.port', 'wal.directory'],
      walId: '0193-a',
      epoch: 1789,
      positions: { oldest: 1, applied: 40, committed: 42, durable: 42, appended: 43 },
      walSegments: 2,
      walBytes: 134_217_728,
      walFreeBytes: 1_000_000,
      inDoubt: 0,
      held: 0,
      clients: 7,
      running: 1,
      lastRecovery: {
        ...{ atMs: Date.UTC(2026, 10, 21, 14, 2, 3, 456), committed: 1, rolledBack: 2, held: 0 },
        // A proxy of a version before this column has none.
        ...{ committedIds: [], rolledBackIds: ['k:proxy-0.1.2', 'k:proxy-0.1.3'] },
      },
    });
  });

  it('of a proxy whose log is not open yet has neither identity nor positions', () => {
    const early = { ...ROW, state: 'Recovering', ready: 'f', not_ready_reason: 'recovering', restart_needed: null };
    const unknown = { wal_id: null, epoch: null, appended: null, oldest: null, last_recovery_at: null };
    expect(readProxyFacts(result({ ...early, ...unknown }))).toMatchObject({
      state: 'Recovering',
      ready: false,
      notReadyReason: 'recovering',
      restartNeeded: [],
      walId: null,
      epoch: null,
      positions: null,
      lastRecovery: null,
    });
  });

  it('takes ISO 8601 for a time as well', () => {
    const facts = readProxyFacts(result({ ...ROW, last_recovery_at: '2026-11-21T14:02:03Z' }));
    expect(facts).toMatchObject({ lastRecovery: { atMs: Date.UTC(2026, 10, 21, 14, 2, 3) } });
  });

  const without = (column: string) => Object.fromEntries(Object.entries(ROW).filter(([name]) => name !== column));

  it.each([
    ['no rows', { columns: Object.keys(ROW), rows: [] }, '0 rows'],
    ['a state that nobody knows', result({ ...ROW, state: 'Asleep' }), 'no state is called Asleep'],
    ['a missing column', result(without('in_doubt')), 'no column in_doubt'],
    ['text for a number', result({ ...ROW, clients: 'many' }), 'clients is not a number: many'],
    ['no time', result({ ...ROW, last_recovery_at: 'yesterday' }), 'last_recovery_at is not a time: yesterday'],
  ])('with %s is not taken for an answer', (_, answer, why) => {
    expect(readProxyFacts(answer)).toBe(why);
  });
});
