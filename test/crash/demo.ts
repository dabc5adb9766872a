// `npm run demo`: money moves across three real PostgreSQL shards while the proxy is killed with SIGKILL; then every figure is checked.
//
// Everything is real and everything is on this machine: the servers come from npm, the proxy is the one of `atomshard proxy`,
// the clients are `pg`. The figures at the end are read from the shards directly, never through the proxy.
import { setTimeout as sleep } from 'node:timers/promises';
import { outcomeOf, preparedBranches, transactionsOf, untilNoBackends } from '../support/in-doubt.ts';
import { describeVerdict, type Verdict } from '../support/judge.ts';
import { Random } from '../support/random.ts';
import type { TransferLedger } from '../support/transfer-ledger.ts';
import { CrashRig } from './rig.ts';

const SHARDS = 3;
const CLIENTS = 12;
const ACCOUNTS = 300;
const BALANCE = 1_000;
const KILLS = 10;
/** Kills that hit a quiet moment prove little; a few more are made until something was in doubt. */
const KILLS_MAX = 20;

const seedArgument = process.argv.indexOf('--seed');
const seed = seedArgument < 0 ? Random.freshSeed() : Number(process.argv[seedArgument + 1]);
const began = performance.now();

function say(line: string): void {
  console.log(`${((performance.now() - began) / 1000).toFixed(1).padStart(5)} s  ${line}`);
}

interface Kills {
  kills: number;
  inDoubt: number;
  committed: number;
  rolledBack: number;
  mixed: number;
}

/** One kill at a random moment, the restart, and what the shards say about the transactions that it left in doubt. */
async function killOnce(rig: CrashRig, random: Random, sum: Kills): Promise<void> {
  const { shards } = rig.shards;
  await sleep(random.between(600, 2_400));
  await rig.proxy.kill9();
  sum.kills += 1;
  await untilNoBackends(shards);
  const branches = await preparedBranches(shards);
  const inDoubt = transactionsOf(branches).length;
  const restarted = performance.now();
  await rig.restartProxy();
  const backMs = Math.round(performance.now() - restarted);
  let outcome = await outcomeOf(shards, branches);
  for (let tries = 0; outcome.counts.left > 0 && tries < 200; tries++) {
    await sleep(50);
    outcome = await outcomeOf(shards, branches);
  }
  sum.inDoubt += inDoubt;
  sum.committed += outcome.counts.committed;
  sum.rolledBack += outcome.counts.rolledBack;
  sum.mixed += outcome.counts.mixed;
  say(
    `kill -9, no. ${sum.kills}: in doubt on the shards: ${inDoubt}; proxy back in ${backMs} ms; ` +
      `${outcome.counts.committed} committed, ${outcome.counts.rolledBack} rolled back, ${outcome.counts.left} left`,
  );
}

function table(kills: Kills, verdict: Verdict, ledger: TransferLedger): string {
  const told = ledger.counts();
  const number = (value: number) => value.toLocaleString('en-US');
  const rows: readonly (readonly [string, string])[] = [
    ['transfers acknowledged', number(told.acknowledged)],
    ['  of all transfers, with rows on 2 shards or more', number(verdict.acrossShards)],
    ['refused (rollbacks, violations, cut off before COMMIT)', number(told.refused)],
    ['unknown to the client (cut off in COMMIT)', number(told.unknown)],
    ['  found committed whole / not at all', `${verdict.unknownCommitted} / ${verdict.unknownAborted}`],
    ['kills (SIGKILL of the proxy)', number(kills.kills)],
    ['transactions found in doubt', number(kills.inDoubt)],
    ['  committed by recovery', number(kills.committed)],
    ['  rolled back by recovery', number(kills.rolledBack)],
    ['prepared left', number(verdict.preparedLeft.length)],
    ['sum of all balances before', number(verdict.sumBefore)],
    ['sum of all balances after', number(verdict.sumAfter)],
    ['acknowledged but missing', number(verdict.acknowledgedMissing.length)],
    ['refused but present', number(verdict.refusedPresent.length)],
    ['on some shards only (torn)', number(verdict.torn.length + kills.mixed)],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value.padStart(9)}`).join('\n');
}

async function main(): Promise<boolean> {
  console.log(
    `AtomShard: ${SHARDS} PostgreSQL shards, one proxy, ${CLIENTS} clients moving money across shards (seed ${seed})`,
  );
  say('starting the shards and the proxy (the first time PostgreSQL is initialised, which takes some seconds)');
  const options = { shards: SHARDS, clients: CLIENTS, accounts: ACCOUNTS, initialBalance: BALANCE, seed, fsync: true };
  const starting = CrashRig.start(options);
  const interrupted = () => {
    console.error('interrupted; stopping the servers and removing their data');
    const stopped = starting.then((started) => started[Symbol.asyncDispose]());
    void stopped.catch(() => undefined).finally(() => process.exit(130));
  };
  process.once('SIGINT', interrupted);
  process.once('SIGTERM', interrupted);
  await using rig = await starting;
  say(
    `${ACCOUNTS} accounts with ${BALANCE.toLocaleString('en-US')} each, spread over ${SHARDS} shards; transfers begin`,
  );
  const random = new Random(seed).fork(1_000);
  const kills: Kills = { kills: 0, inDoubt: 0, committed: 0, rolledBack: 0, mixed: 0 };
  rig.load.start();
  while (kills.kills < KILLS || (kills.inDoubt === 0 && kills.kills < KILLS_MAX)) await killOnce(rig, random, kills);
  await sleep(1_000);
  say('transfers end; reading every shard directly and comparing with what the clients were told');
  const verdict = await rig.reckon(`seed ${seed}`);
  console.log(`\n${table(kills, verdict, rig.load.ledger)}\n`);
  const right =
    verdict.sound &&
    kills.mixed === 0 &&
    kills.inDoubt > 0 &&
    kills.committed + kills.rolledBack === kills.inDoubt &&
    rig.load.ledger.counts().acknowledged > 0 &&
    verdict.acrossShards > 0;
  console.log(right ? 'Every figure is right.' : `A figure is WRONG (seed ${seed}).\n${describeVerdict(verdict)}`);
  return right;
}

try {
  process.exitCode = (await main()) ? 0 : 1;
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
