// Ending one transaction by hand on real shards, and what a real proxy says that it holds.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/kernel/clock.ts';
import { askHeld } from '../../../src/operator/recovery/held-rows.ts';
import type { ResolveRequest } from '../../../src/operator/recovery/request.ts';
import { resolveOne } from '../../../src/operator/recovery/resolve-one.ts';
import type { SqlTarget } from '../../../src/operator/sql/facts.ts';
import { preparedFromProxy } from '../../../src/operator/sql/prepared-list.ts';
import { SqlSession } from '../../../src/operator/sql/sql-session.ts';
import { startTestProxy, type TestProxy } from '../../support/proxy-in-process.ts';
import { type PreparedByHand, RecoveryGround } from '../../support/recovery-ground.ts';

let ground: RecoveryGround;
beforeAll(async () => {
  ground = await RecoveryGround.start(2);
});
afterAll(() => ground[Symbol.asyncDispose]());

const wish = ({ transaction }: PreparedByHand, verdict: 'commit' | 'abort', force = false): ResolveRequest => ({
  ...{ id: 'q', transaction, verdict, by: 'ann', reason: 'ticket 7', force },
});

describe('one transaction, by hand', () => {
  it('without a log’s word both ends are allowed while all of it is prepared early acknowledged', async () => {
    for (const [verdict, rows] of [
      ['commit', [1, 1]],
      ['abort', [0, 0]],
    ] as const) {
      const prepared = await ground.prepare([0, 1], { earlyAcknowledged: true });
      const answer = await resolveOne(wish(prepared, verdict), { kind: 'lost' }, ground.probes);
      expect(answer.outcome).toBe('done');
      expect(await ground.rows(prepared, [0, 1])).toEqual(rows);
      expect(await ground.preparedGids()).toEqual([]);
    }
  });

  it('is finished the way of the branch that is committed already, and not the other way', async () => {
    const prepared = await ground.prepare([0, 1]);
    await ground.shards.query(0, `COMMIT PREPARED '${prepared.branches[0]?.gid}'`);
    const log = { kind: 'commit', decision: prepared.decision, lsn: 1, committed: true, ended: false } as const;
    const refused = await resolveOne(wish(prepared, 'abort'), log, ground.probes);
    expect(refused).toMatchObject({ outcome: 'refused', message: expect.stringContaining('must be committed') });
    expect(refused.message).toContain('shard-0 C, shard-1 P, row decided-commit');
    const done = await resolveOne(wish(prepared, 'commit'), log, ground.probes);
    expect(done).toMatchObject({ outcome: 'done', message: expect.stringContaining('committed on shard-1') });
    expect(await ground.rows(prepared, [0, 1])).toEqual([1, 1]);
  });

  it('of which nothing is prepared has ended', async () => {
    const prepared = await ground.prepare([0, 1], { unprepared: [0, 1] });
    const answer = await resolveOne(wish(prepared, 'commit'), { kind: 'lost' }, ground.probes);
    expect(answer).toMatchObject({ outcome: 'done', message: expect.stringContaining('it has ended') });
  });
});

describe('a proxy that holds one', () => {
  let proxy: TestProxy;
  afterAll(() => proxy?.[Symbol.asyncDispose]());

  it('is asked which, why, and how its branches stand', async () => {
    const user = { name: 'operator', password: 'correct horse' };
    // Of a run before its log was made, acknowledged early: nobody can prove how it ended.
    const prepared = await ground.prepare([0, 1], { epoch: 1_000, instance: 'proxy-0', earlyAcknowledged: true });
    proxy = await startTestProxy(ground.shards, { admin: { users: [user] }, cluster: 'k3x9q', instance: 'proxy-0' });
    const tls = { kind: 'disable' } as const;
    const target: SqlTarget = {
      name: 'proxy-0',
      host: '127.0.0.1',
      port: proxy.port,
      database: 'atomshard',
      user: user.name,
      password: user.password,
      tls,
    };
    expect(await askHeld(systemClock)(target)).toEqual([
      {
        transaction: `k3x9q:proxy-0.${prepared.key}`,
        reason: 'lost-the-rest',
        askHuman: true,
        participants: [
          { shard: 'shard-0', state: 'P' },
          { shard: 'shard-1', state: 'P' },
        ],
      },
    ]);
    const session = new SqlSession(target, systemClock);
    const reply = await session.run('SHOW PREPARED');
    session.close();
    if (reply.kind === 'failed') throw new Error(reply.failure.message);
    expect(preparedFromProxy(reply.value)).toMatchObject({
      transactions: [{ id: `k3x9q:proxy-0.${prepared.key}`, shards: ['shard-0', 'shard-1'] }],
      foreign: 0,
      unseen: [],
    });
    expect(await askHeld(systemClock)({ ...target, password: 'wrong' })).toBeNull();
    await resolveOne(wish(prepared, 'abort'), { kind: 'damaged' }, ground.probes);
  });
});
