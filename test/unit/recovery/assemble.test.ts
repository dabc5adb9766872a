// Prepared rows become transactions of ours only when their names say so; whatever else stands there is counted and aged.
import { describe, expect, it } from 'vitest';
import { assemble, listedBranches } from '../../../src/recovery/assemble.ts';
import type { PreparedRow, ShardScan } from '../../../src/recovery/shard-probe.ts';
import { renderGid, type TransactionId } from '../../../src/transaction/gid.ts';

const OURS: TransactionId = { cluster: 'k3x9q', instance: 'proxy-0', epoch: 1789, seq: 42 };
const TWO = [
  { shard: 'shard-0', xid: '701', timeline: 1 },
  { shard: 'shard-2', xid: '902', timeline: 3 },
];

const gidOf = (index: number, transaction = OURS, participants = TWO) =>
  renderGid({ transaction, index, count: participants.length, participants });
const row = (gid: string, xid: string, ageMs = 0): PreparedRow => ({ gid, xid, preparedAtMs: 1_000_000 - ageMs });
const scan = (...prepared: PreparedRow[]): ShardScan => ({
  systemIdentifier: '7001',
  timeline: 1,
  livingSinceMs: 0,
  recoveredNextXid: null,
  prepared,
  nowMs: 1_000_000,
});
const assembled = (shards: Record<string, ShardScan>) => assemble('k3x9q', 'proxy-0', new Map(Object.entries(shards)));

describe('assemble', () => {
  it('brings the branches of one transaction together across shards', () => {
    const found = assembled({ 'shard-0': scan(row(gidOf(0), '701')), 'shard-2': scan(row(gidOf(1), '902')) });
    expect([...found.inDoubt.keys()]).toEqual(['1789.42']);
    expect(found.inDoubt.get('1789.42')?.branches.map(({ shard }) => shard)).toEqual(['shard-0', 'shard-2']);
    expect(found.foreign.count).toBe(0);
  });

  it('I10: counts and ages what is foreign, and takes nothing of it for its own', () => {
    const others = [
      row('their own xa thing', '5', 300),
      row("as1:k3x9q:proxy-0.1789.42::0/2:shard-0=701@1'; DROP TABLE", '6', 100),
      row(gidOf(0, { ...OURS, cluster: 'zzzzz' }), '701', 900),
      row('citus_0_1234_5_6', '8', 10),
    ];
    const found = assembled({ 'shard-0': scan(...others) });
    expect(found.inDoubt.size).toBe(0);
    expect(found.foreign).toEqual({ count: 4, oldestAgeMs: 900 });
  });

  it('SPQR: what another instance of the cluster prepared belongs to that instance, whoever is asked', () => {
    const other = { ...OURS, instance: 'proxy-1' };
    const found = assembled({
      'shard-0': scan(row(gidOf(0, other), '701', 70), row(gidOf(0, { ...other, seq: 1 }), '701', 5)),
    });
    expect(found.inDoubt.size).toBe(0);
    expect(found.otherInstances.get('proxy-1')).toEqual({ count: 2, oldestAgeMs: 70 });
  });

  it('an instance whose name begins like ours is another instance', () => {
    const found = assembled({ 'shard-0': scan(row(gidOf(0, { ...OURS, instance: 'proxy-01' }), '701')) });
    expect(found.inDoubt.size).toBe(0);
  });

  it('Citus #8855: a row on the wrong shard, or with another xid than its name says, is left alone with an alarm', () => {
    const found = assembled({ 'shard-1': scan(row(gidOf(0), '701')), 'shard-2': scan(row(gidOf(1), '999')) });
    expect(found.inDoubt.size).toBe(0);
    expect(found.alarms.map(({ kind, shard }) => [kind, shard])).toEqual([
      ['GidMistake', 'shard-1'],
      ['GidMistake', 'shard-2'],
    ]);
  });
});

describe('the participants that prepared branches name', () => {
  const branchesOf = (shards: Record<string, ShardScan>) => assembled(shards).inDoubt.get('1789.42')?.branches ?? [];

  it('PgDog 2: names every participant by its shard, whoever of them was found and in whatever order', () => {
    const listed = listedBranches(branchesOf({ 'shard-2': scan(row(gidOf(1), '902')) }));
    expect(listed?.complete).toBe(true);
    expect(listed?.branches).toEqual([TWO[0], { ...TWO[1], gid: gidOf(1) }]);
  });

  it('is incomplete when the list was cut and not everybody was found', () => {
    const many = Array.from({ length: 12 }, (_, at) => ({
      shard: `a-shard-with-a-long-name-${at}`,
      xid: '70000',
      timeline: 1,
    }));
    const gid = gidOf(11, OURS, many);
    const listed = listedBranches(branchesOf({ 'a-shard-with-a-long-name-11': scan(row(gid, '70000')) }));
    expect(listed?.complete).toBe(false);
    expect(listed?.branches.at(-1)).toEqual({ shard: 'a-shard-with-a-long-name-11', xid: '70000', gid });
  });

  it('is complete when the list was cut but every participant was found prepared', () => {
    const many = Array.from({ length: 12 }, (_, at) => ({
      shard: `a-shard-with-a-long-name-${at}`,
      xid: '70000',
      timeline: 1,
    }));
    const shards = Object.fromEntries(many.map(({ shard, xid }, at) => [shard, scan(row(gidOf(at, OURS, many), xid))]));
    expect(listedBranches(branchesOf(shards))?.complete).toBe(true);
  });

  it('contradictory names conclude nothing', () => {
    const otherXid = [
      TWO[0] ?? { shard: 'shard-0', xid: '701', timeline: 1 },
      { shard: 'shard-2', xid: '903', timeline: 3 },
    ];
    const differing = branchesOf({
      'shard-0': scan(row(gidOf(0), '701')),
      'shard-2': scan(row(gidOf(1, OURS, otherXid), '903')),
    });
    expect(listedBranches(differing)).toBeNull();
    const three = [...TWO, { shard: 'shard-3', xid: '5', timeline: 1 }];
    const counts = branchesOf({
      'shard-0': scan(row(gidOf(0), '701')),
      'shard-2': scan(row(gidOf(1, OURS, three), '902')),
    });
    expect(listedBranches(counts)).toBeNull();
  });
});
