// The start of an instance after a crash: what it finds prepared on real shards ends as its log says, whole, and nothing else is touched.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RecoveryGround } from '../../support/recovery-ground.ts';

let ground: RecoveryGround;
beforeAll(async () => {
  ground = await RecoveryGround.start(3);
});
afterAll(() => ground[Symbol.asyncDispose]());

describe('the first pass', () => {
  it('commits what the log decided, on every participant, and records END', async () => {
    const prepared = await ground.prepare([0, 1, 2]);
    ground.log.decisions.set(prepared.key, prepared.decision);
    expect(await ground.preparedGids()).toHaveLength(3);
    const report = await ground.recovery().firstPass();
    expect(report).toMatchObject({ foundInDoubt: 1, committed: 1, rolledBack: 0, held: [], waiting: 0, alarms: [] });
    expect(await ground.rows(prepared, [0, 1, 2])).toEqual([1, 1, 1]);
    expect(await ground.preparedGids()).toEqual([]);
    expect(ground.log.ended.has(prepared.key)).toBe(true);
  });

  it('rolls back what an intact log never decided', async () => {
    const prepared = await ground.prepare([0, 2], { unprepared: [1] });
    const report = await ground.recovery().firstPass();
    expect(report).toMatchObject({ foundInDoubt: 1, committed: 0, rolledBack: 1, alarms: [] });
    expect(await ground.rows(prepared, [0, 2])).toEqual([0, 0]);
    expect(await ground.preparedGids()).toEqual([]);
  });

  it('finishes a commit that one participant had already heard of', async () => {
    const prepared = await ground.prepare([1, 2]);
    ground.log.decisions.set(prepared.key, prepared.decision);
    await ground.shards.query(1, `COMMIT PREPARED '${prepared.branches[0]?.gid}'`);
    const report = await ground.recovery().firstPass();
    expect(report).toMatchObject({ foundInDoubt: 1, committed: 1, alarms: [] });
    expect(await ground.rows(prepared, [1, 2])).toEqual([1, 1]);
  });

  it('confirms a decision that only lacked its END', async () => {
    const prepared = await ground.prepare([0, 1]);
    ground.log.decisions.set(prepared.key, prepared.decision);
    for (const [shard, { gid }] of prepared.branches.entries())
      await ground.shards.query(shard, `COMMIT PREPARED '${gid}'`);
    const report = await ground.recovery().firstPass();
    expect(report).toMatchObject({ foundInDoubt: 0, committed: 0, confirmed: 1, alarms: [] });
    expect(ground.log.ended.has(prepared.key)).toBe(true);
  });
});
