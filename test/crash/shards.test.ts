// Shards are killed, frozen and restarted under the transfer load while the proxy lives; then rows are compared.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { preparedBranches, untilNonePrepared } from '../support/in-doubt.ts';
import { Random } from '../support/random.ts';
import { CrashRig } from './rig.ts';

const SEED = Number(process.env.CRASH_SEED ?? Random.freshSeed());
const KILLS = 8;

describe(`shards that fail under load (seed ${SEED})`, () => {
  let rig: CrashRig;
  const random = new Random(SEED);
  let leftPrepared = 0;

  beforeAll(async () => {
    rig = await CrashRig.start({ shards: 3, clients: 10, seed: SEED, accounts: 150, initialBalance: 500 });
  });
  afterAll(async () => {
    console.info(
      `seed ${SEED}; branches found prepared on other shards: ${leftPrepared}\n${rig.load.ledger.summary()}`,
    );
    await rig[Symbol.asyncDispose]();
  });

  beforeEach(() => rig.ensureProxy());

  it.each(Array.from({ length: KILLS }, (_, kill) => kill))(
    'a shard killed with SIGKILL and started again loses and tears nothing (%s)',
    async (kill) => {
      const victim = rig.shards.shard(kill % 3);
      const others = rig.shards.shards.filter((shard) => shard !== victim);
      rig.load.start();
      await sleep(random.between(150, 500));
      await victim.kill9();
      await sleep(random.between(0, 300));
      leftPrepared += (await preparedBranches(others)).length;
      await victim.start();
      await sleep(random.between(100, 300));
      await rig.reckon(`shard ${kill % 3} killed, seed ${SEED}`);
    },
  );

  it('PgDog: 57P01 of a killed shard is no answer to COMMIT; the client gets the truth or 08007', () => {
    const asked = [...rig.load.ledger.records.values()].filter((record) => record.plan.kind !== 'automatic');
    const unknown = asked.filter((record) => record.told === 'unknown').map((record) => record.why);
    expect(unknown.filter((why) => why !== '08007')).toEqual([]);
  });

  it('PgDog 16: clients keep their connections to the proxy while a shard comes and goes', () => {
    expect(rig.load.reconnects).toBe(10);
  });

  it('a frozen shard makes its own transactions wait and lets the others pass', async () => {
    const before = rig.load.ledger.counts().acknowledged;
    const frozen = rig.shards.shard(1);
    rig.load.start();
    await sleep(200);
    await frozen.pause();
    await sleep(1_500);
    await frozen.resume();
    await sleep(200);
    await rig.reckon('shard 1 frozen and resumed');
    expect(rig.load.ledger.counts().acknowledged).toBeGreaterThan(before);
  });

  it('PgDog 11: what is in doubt on the living shards is finished although one stays dead', async () => {
    const dead = rig.shards.shard(2);
    const living = rig.shards.shards.filter((shard) => shard !== dead);
    rig.load.start();
    await sleep(300);
    await dead.kill9();
    await rig.proxy.kill9();
    await rig.restartProxy();
    expect(await untilNonePrepared(living, 15_000)).toBe(true);
    await dead.start();
    await sleep(200);
    await rig.reckon('a dead shard while the proxy recovers');
  });
});
