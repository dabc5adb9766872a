// What metrics say of prepared transactions: the last look, never a wait.
import { describe, expect, it } from 'vitest';
import { PreparedWatch } from '../../../src/proxy/prepared-watch.ts';
import type { Answer, ShardScan } from '../../../src/recovery/shard-probe.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const OURS = 'as1:test1:proxy-0.1.1::0/2:shard-0=7@1,shard-1=8@1';
const OTHER = 'as1:test1:proxy-1.1.1::0/2:shard-0=9@1,shard-1=8@1';
const ELSEWHERE = 'as1:other:proxy-0.1.1::0/2:shard-0=9@1,shard-1=8@1';

function scanned(...gids: string[]): Answer<ShardScan> {
  const prepared = gids.map((gid, at) => ({ gid, xid: '7', preparedAtMs: 1_000 * at }));
  return {
    kind: 'answer',
    value: { systemIdentifier: 's', timeline: 1, livingSinceMs: null, recoveredNextXid: null, prepared, nowMs: 60_000 },
  };
}

describe('PreparedWatch', () => {
  it('answers at once with what it saw last, and looks again only when that is old', async () => {
    const clock = new ManualClock();
    let answer: Answer<ShardScan> = scanned(OURS, OTHER, ELSEWHERE, 'anything');
    let looks = 0;
    const scan = async () => {
      looks++;
      return answer;
    };
    const watch = new PreparedWatch(new Map([['shard-0', { scan }]]), { cluster: 'test1', instance: 'proxy-0' }, clock);
    expect([...watch.counts()]).toEqual([]);
    await clock.pass(1);
    const first = { ours: 1, otherInstances: 1, foreign: 2, oldestSeconds: 60 };
    expect([...watch.counts()]).toEqual([['shard-0', first]]);
    expect(looks).toBe(1);
    answer = scanned();
    await clock.pass(5_000);
    expect(watch.counts().get('shard-0')).toEqual(first);
    await clock.pass(1);
    expect(watch.counts().get('shard-0')).toEqual({ ours: 0, otherInstances: 0, foreign: 0, oldestSeconds: 0 });
    // A shard that does not answer says nothing, least of all zero.
    answer = { kind: 'absent', cause: 'unreachable', why: 'gone' };
    await clock.pass(5_000);
    watch.counts();
    await clock.pass(1);
    expect([...watch.counts()]).toEqual([]);
  });
});
