import { describe, expect, it } from 'vitest';
import { unfinishedWarning } from '../../../src/transaction/commit-outcome.ts';
import { parseGid } from '../../../src/transaction/gid.ts';
import { BenchOfShards, settled } from './bench-of-shards.ts';
import { complete, refused } from './fake-shard.ts';

const REPLICATION_DOUBT = { severity: 'WARNING', code: '01000', message: 'canceling wait for synchronous replication' };

describe('one branch', () => {
  it('commits with one plain command, no prepare and no log record (I16)', async () => {
    const bench = new BenchOfShards(1);
    expect(await bench.coordinator.commit([bench.shard(0).branch('unasked')])).toEqual({
      kind: 'committed',
      unfinished: 0,
      notices: [],
    });
    expect(bench.lines).toEqual(['shard-0: COMMIT']);
  });

  it('passes on what the shard said beside its COMMIT', async () => {
    const bench = new BenchOfShards(1);
    bench
      .shard(0)
      .breakOn(/^COMMIT/, { kind: 'reply', reply: complete('COMMIT', [REPLICATION_DOUBT]), executed: true });
    const outcome = await bench.coordinator.commit([bench.shard(0).branch()]);
    expect(outcome).toMatchObject({ kind: 'committed', notices: [REPLICATION_DOUBT] });
  });

  it('is aborted with the original error when COMMIT fails', async () => {
    const bench = new BenchOfShards(1);
    bench.shard(0).breakOn(/^COMMIT/, { kind: 'reply', reply: refused('23505', 'duplicate key') });
    expect(await bench.coordinator.commit([bench.shard(0).branch()])).toMatchObject({
      kind: 'aborted',
      error: { code: '23505', message: 'duplicate key' },
    });
  });

  it('is definitely aborted when COMMIT of a failed transaction answers with the tag ROLLBACK', async () => {
    const bench = new BenchOfShards(1);
    bench.shard(0).fate = 'failed';
    expect(await bench.coordinator.commit([bench.shard(0).branch()])).toMatchObject({
      kind: 'aborted',
      error: { code: '40000' },
    });
  });

  it.each([
    ['committed', true, { kind: 'committed' }],
    ['aborted', false, { kind: 'aborted', error: { code: '40000' } }],
    [
      'unknown',
      true,
      { kind: 'unknown', error: { code: '08007', hint: "To ask, on shard-0: SELECT pg_xact_status('700')" } },
    ],
  ] as const)('whose reply is lost is asked for, and the client is told: %s', async (status, executed, expected) => {
    const bench = new BenchOfShards(1);
    bench.statusOfLost = status;
    bench.shard(0).breakOn(/^COMMIT/, { kind: 'lost', executed });
    expect(await bench.coordinator.commit([bench.shard(0).branch()])).toMatchObject(expected);
    expect(bench.lines).toEqual(['shard-0: COMMIT', 'ask shard-0 for 700']);
  });

  it('whose reply is lost and whose xid nobody asked for is unknown, never guessed', async () => {
    const bench = new BenchOfShards(1);
    bench.statusOfLost = 'committed';
    bench.shard(0).breakOn(/^COMMIT/, { kind: 'lost', executed: true });
    const outcome = await bench.coordinator.commit([bench.shard(0).branch('unasked')]);
    expect(outcome).toMatchObject({ kind: 'unknown', error: { code: '08007' } });
    expect(bench.lines).toEqual(['shard-0: COMMIT']);
  });

  it('pgjdbc XA: 57P01 in answer to COMMIT ends the connection and is no definite answer', async () => {
    const bench = new BenchOfShards(1);
    bench
      .shard(0)
      .breakOn(/^COMMIT/, { kind: 'reply', reply: refused('57P01', 'terminating', 'FATAL'), executed: true });
    bench.statusOfLost = 'committed';
    expect(await bench.coordinator.commit([bench.shard(0).branch()])).toMatchObject({ kind: 'committed' });
  });
});

describe('branches of which at most one wrote', () => {
  it('PgDog 15: a transaction that wrote on one shard pays no prepare and no record, and its readers commit first', async () => {
    const bench = new BenchOfShards(3);
    const branches = [
      bench.shard(0).branch('700'),
      bench.shard(1).branch(null),
      bench.shard(2).branch('unasked', false),
    ];
    expect(await bench.coordinator.commit(branches)).toMatchObject({ kind: 'committed', unfinished: 0 });
    expect(bench.lines).toEqual(['shard-1: COMMIT', 'shard-2: COMMIT', 'shard-0: COMMIT']);
  });

  it('only read commit in parallel', async () => {
    const bench = new BenchOfShards(2);
    const branches = bench.shards.map((shard) => shard.branch(null));
    expect(await bench.coordinator.commit(branches)).toMatchObject({ kind: 'committed' });
    expect(bench.lines).toEqual(['shard-0: COMMIT', 'shard-1: COMMIT']);
  });

  it('roll the writer back when a reader fails, and tell its error', async () => {
    const bench = new BenchOfShards(2);
    bench.shard(1).breakOn(/^COMMIT/, { kind: 'reply', reply: refused('40001', 'could not serialize') });
    const outcome = await bench.coordinator.commit([bench.shard(0).branch('700'), bench.shard(1).branch(null)]);
    expect(outcome).toMatchObject({ kind: 'aborted', error: { code: '40001' } });
    expect(bench.fates()).toEqual(['aborted', 'open']);
    expect(bench.shard(0).sent).toEqual(['ROLLBACK']);
  });

  it('are aborted, definitely, when a reader is lost: nothing was written', async () => {
    const bench = new BenchOfShards(2);
    bench.shard(1).breakOn(/^COMMIT/, { kind: 'lost', executed: true });
    const outcome = await bench.coordinator.commit(bench.shards.map((shard) => shard.branch(null)));
    expect(outcome).toMatchObject({ kind: 'aborted', error: { code: '40000', detail: 'read ECONNRESET' } });
  });

  it('do not need an xid that was not asked for', async () => {
    const bench = new BenchOfShards(2);
    await bench.coordinator.commit([bench.shard(0).branch('unasked', true), bench.shard(1).branch(null)]);
    expect(bench.lines.join()).not.toContain('pg_current_xact_id');
  });
});

describe('two writers or more', () => {
  it('are prepared in parallel, decided once, committed in parallel, and ended', async () => {
    const bench = new BenchOfShards(3);
    const outcome = await bench.coordinator.commit([
      bench.shard(0).branch('700'),
      bench.shard(1).branch(null),
      bench.shard(2).branch('900'),
    ]);
    expect(outcome).toEqual({
      kind: 'committed',
      transaction: { cluster: 'k3x9q', instance: 'proxy-0', epoch: 1789, seq: 1 },
      unfinished: 0,
      notices: [],
    });
    const gid = (i: number) => `as1:k3x9q:proxy-0.1789.1::${i}/2:shard-0=700@1,shard-2=900@1`;
    expect(bench.lines).toEqual([
      `shard-0: PREPARE TRANSACTION '${gid(0)}'`,
      'shard-1: COMMIT',
      `shard-2: PREPARE TRANSACTION '${gid(1)}'`,
      'log: COMMIT 1789.1',
      'log: committed',
      `shard-0: COMMIT PREPARED '${gid(0)}'`,
      `shard-2: COMMIT PREPARED '${gid(1)}'`,
      'log: END',
    ]);
    expect(bench.coordinator.driving().size).toBe(0);
  });

  it('PgDog 1: the log holds the very gids that were sent, with what is needed to verify them', async () => {
    const bench = new BenchOfShards(2);
    await bench.coordinator.commit(bench.shards.map((shard) => shard.branch('700')));
    const [decision] = bench.decisions;
    expect(decision?.participants.map((one) => one.gid)).toEqual(bench.shards.map((shard) => shard.gid));
    expect(decision?.participants[0]).toMatchObject({
      shard: 'shard-0',
      xid: '700',
      timeline: 1,
      systemIdentifier: '73',
    });
  });

  it('PgDog 2: a subset of the shards is named by names, not by positions', async () => {
    const bench = new BenchOfShards(4);
    await bench.coordinator.commit([bench.shard(3).branch('7'), bench.shard(1).branch('8')]);
    expect(parseGid(bench.shard(1).gid ?? '')?.participants.map((one) => one.shard)).toEqual(['shard-3', 'shard-1']);
  });

  it('are driven from before the first PREPARE until END (recovery leaves them alone meanwhile)', async () => {
    const seen: string[] = [];
    const bench: BenchOfShards = new BenchOfShards(2, {
      controlPoint: (name, participant) => {
        seen.push(`${name}${participant === undefined ? '' : `(${participant})`} ${bench.coordinator.driving().size}`);
      },
    });
    await bench.coordinator.commit(bench.shards.map((shard) => shard.branch()));
    expect(seen).toEqual([
      'prepare.before(0) 1',
      'prepare.before(1) 1',
      'prepare.after(0) 1',
      'prepare.after(1) 1',
      'commit.before(0) 1',
      'commit.before(1) 1',
      'commit.after(0) 1',
      'commit.after(1) 1',
      'end.before 1',
      'end.after 1',
    ]);
    await settled();
    expect(bench.coordinator.driving().size).toBe(0);
  });

  it('wait at a control point that returns a promise', async () => {
    let goOn: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const bench = new BenchOfShards(2, {
      controlPoint: (name, participant) => (name === 'prepare.before' && participant === 1 ? gate : undefined),
    });
    const outcome = bench.coordinator.commit(bench.shards.map((shard) => shard.branch()));
    await settled();
    expect(bench.fates()).toEqual(['prepared', 'open']);
    goOn();
    expect(await outcome).toMatchObject({ kind: 'committed' });
  });

  it('have their missing xids asked for before anything is prepared; who has none only reads', async () => {
    const bench = new BenchOfShards(3);
    bench.shard(1).breakOn(/pg_current_xact_id/, { kind: 'reply', reply: complete('SELECT 1', [], [[null]]) });
    const outcome = await bench.coordinator.commit(bench.shards.map((shard) => shard.branch('unasked', true)));
    expect(outcome).toMatchObject({ kind: 'committed' });
    expect(bench.shard(1).sent.slice(1)).toEqual(['COMMIT']);
    expect(bench.decisions[0]?.participants.map((one) => one.shard)).toEqual(['shard-0', 'shard-2']);
  });

  it.each([
    ['its connection is lost', { kind: 'lost', executed: false }],
    ['its transaction has failed', { kind: 'reply', reply: refused('25P02') }],
    ['the reply has no row', { kind: 'reply', reply: complete('SELECT 0') }],
  ] as const)('are rolled back when a missing xid cannot be learned: %s', async (_why, fault) => {
    const bench = new BenchOfShards(2);
    bench.shard(1).breakOn(/pg_current_xact_id/, fault);
    const outcome = await bench.coordinator.commit(bench.shards.map((shard) => shard.branch('unasked', true)));
    expect(outcome).toMatchObject({ kind: 'aborted' });
    expect(bench.fates()).toEqual(['aborted', 'aborted']);
    expect(bench.lines.join()).not.toContain('PREPARE');
  });
});

describe('a vote that is not yes', () => {
  it('aborts with the original error, rolls back what was prepared and logs nothing (I5)', async () => {
    const bench = new BenchOfShards(3);
    bench
      .shard(1)
      .breakOn(/PREPARE TRANSACTION/, { kind: 'reply', reply: refused('23503', 'foreign key'), executed: false });
    bench.shard(1).fate = 'open';
    const outcome = await bench.coordinator.commit(bench.shards.map((shard) => shard.branch()));
    expect(outcome).toMatchObject({ kind: 'aborted', error: { code: '23503', message: 'foreign key' } });
    expect([bench.shard(0).fate, bench.shard(2).fate]).toEqual(['aborted', 'aborted']);
    expect(bench.decisions).toEqual([]);
    expect(bench.handedOver).toEqual([]);
    expect(bench.coordinator.driving().size).toBe(0);
    // PgDog 16: the client keeps its connection, and so do the branches.
    expect(bench.shards.map((shard) => shard.destroyed)).toEqual([null, null, null]);
  });

  it('PgDog 14: a PREPARE answered with the tag ROLLBACK is a no', async () => {
    const bench = new BenchOfShards(2);
    bench.shard(1).breakOn(/PREPARE TRANSACTION/, { kind: 'reply', reply: complete('ROLLBACK') });
    const outcome = await bench.coordinator.commit(bench.shards.map((shard) => shard.branch()));
    expect(outcome).toMatchObject({ kind: 'aborted', error: { code: '40000' } });
    expect(bench.shard(0).fate).toBe('aborted');
    expect(bench.decisions).toEqual([]);
  });

  it('a transaction that had failed is rolled back, and its connection is fit for the next one', async () => {
    const bench = new BenchOfShards(2);
    bench.shard(1).fate = 'failed';
    const outcome = await bench.coordinator.commit(bench.shards.map((shard) => shard.branch()));
    expect(outcome).toMatchObject({ kind: 'aborted', error: { code: '25P02' } });
    expect(bench.fates()).toEqual(['aborted', 'aborted']);
    expect(bench.shard(1).sent.at(-1)).toBe('ROLLBACK');
    expect(bench.decisions).toEqual([]);
  });

  it('a PREPARE whose standby was not waited for is a no, and what it left is rolled back', async () => {
    const bench = new BenchOfShards(2);
    const reply = complete('PREPARE TRANSACTION', [REPLICATION_DOUBT]);
    bench.shard(0).breakOn(/PREPARE TRANSACTION/, { kind: 'reply', reply, executed: true });
    const outcome = await bench.coordinator.commit(bench.shards.map((shard) => shard.branch()));
    expect(outcome).toMatchObject({ kind: 'aborted' });
    expect(bench.fates()).toEqual(['aborted', 'aborted']);
  });

  it('PgDog 9: a PREPARE whose connection is lost goes to the resolver with its backend, never a ROLLBACK PREPARED of our own', async () => {
    const bench = new BenchOfShards(2);
    bench.shard(0).breakOn(/PREPARE TRANSACTION/, { kind: 'lost', executed: true });
    const outcome = await bench.coordinator.commit(bench.shards.map((shard) => shard.branch()));
    expect(outcome).toMatchObject({ kind: 'aborted', error: { code: '40000' } });
    expect(bench.shard(0).sent.join()).not.toContain('ROLLBACK PREPARED');
    const [{ unfinished } = { unfinished: undefined }] = bench.handedOver;
    expect(unfinished).toMatchObject({
      decision: 'abort',
      participants: [{ shard: 'shard-0', gid: bench.shard(0).gid, xid: '700', identity: { backendPid: 7 } }],
    });
    // Until the resolver is done recovery must not touch it.
    expect(bench.coordinator.driving().size).toBe(1);
    bench.resolveAll();
    expect(bench.fates()).toEqual(['aborted', 'aborted']);
    expect(bench.coordinator.driving().size).toBe(0);
  });

  it('with a tag that nobody knows is unknown: that connection is closed and the resolver looks', async () => {
    const bench = new BenchOfShards(2);
    bench.shard(0).breakOn(/PREPARE TRANSACTION/, { kind: 'reply', reply: complete('SELECT 1'), executed: true });
    const outcome = await bench.coordinator.commit(bench.shards.map((shard) => shard.branch()));
    expect(outcome).toMatchObject({ kind: 'aborted', error: { code: '40000' } });
    expect(bench.shard(0).destroyed).not.toBeNull();
    bench.resolveAll();
    expect(bench.fates()).toEqual(['aborted', 'aborted']);
  });

  it('waits for the other votes before it answers, so that every connection is quiet', async () => {
    const bench = new BenchOfShards(2);
    bench.shard(0).breakOn(/PREPARE TRANSACTION/, { kind: 'reply', reply: refused('23505') });
    bench.shard(1).breakOn(/PREPARE TRANSACTION/, { kind: 'hang', executed: true });
    let outcome: unknown;
    void bench.coordinator.commit(bench.shards.map((shard) => shard.branch())).then((told) => {
      outcome = told;
    });
    await settled();
    expect(outcome).toBeUndefined();
    await bench.clock.advance(400);
    expect(outcome).toMatchObject({ kind: 'aborted', error: { code: '23505' } });
    expect(bench.shard(1).destroyed).not.toBeNull();
    expect(bench.handedOver).toHaveLength(1);
  });

  it('that does not come in time aborts, and says who was slow', async () => {
    const bench = new BenchOfShards(2);
    bench.shard(1).breakOn(/PREPARE TRANSACTION/, { kind: 'hang', executed: true });
    const outcome = bench.coordinator.commit(bench.shards.map((shard) => shard.branch()));
    await bench.clock.advance(1_500);
    expect(await outcome).toMatchObject({ kind: 'aborted', error: { message: expect.stringContaining('shard-1') } });
    bench.resolveAll();
    expect(bench.fates()).toEqual(['aborted', 'aborted']);
  });

  it('tells the definite error rather than the lost connection that came first', async () => {
    const bench = new BenchOfShards(2);
    bench.shard(0).breakOn(/PREPARE TRANSACTION/, { kind: 'lost', executed: false });
    bench.shard(1).breakOn(/PREPARE TRANSACTION/, { kind: 'reply', reply: refused('23505') });
    const outcome = await bench.coordinator.commit(bench.shards.map((shard) => shard.branch()));
    expect(outcome).toMatchObject({ kind: 'aborted', error: { code: '23505' } });
  });
});

describe('after the decision', () => {
  it('PgDog 16: a shard that is lost in the second phase does not turn success into an error', async () => {
    const bench = new BenchOfShards(2);
    bench.shard(1).breakOn(/^COMMIT PREPARED/, { kind: 'lost', executed: false });
    const outcome = bench.coordinator.commit(bench.shards.map((shard) => shard.branch()));
    await bench.clock.advance(200);
    const told = await outcome;
    expect(told).toMatchObject({ kind: 'committed', unfinished: 1 });
    expect(bench.ended).toEqual([]);
    if (told.kind !== 'committed' || told.transaction === undefined) throw new Error('not committed');
    expect(unfinishedWarning(told.transaction, 1)).toMatchObject({ severity: 'WARNING', code: '01000' });
    bench.resolveAll();
    await settled();
    expect(bench.fates()).toEqual(['committed', 'committed']);
    expect(bench.ended).toEqual(['1789.1']);
  });

  it('a resolver that is quick enough makes it a plain success', async () => {
    const bench = new BenchOfShards(2);
    bench.shard(1).breakOn(/^COMMIT PREPARED/, { kind: 'reply', reply: refused('55000', 'busy') });
    const outcome = bench.coordinator.commit(bench.shards.map((shard) => shard.branch()));
    await settled();
    bench.resolveAll();
    expect(await outcome).toMatchObject({ kind: 'committed', unfinished: 0 });
    expect(bench.shard(1).destroyed).toBeNull();
  });

  it('42704 "does not exist" is never success by itself: it is handed over to be verified', async () => {
    const bench = new BenchOfShards(2);
    bench.shard(1).breakOn(/^COMMIT PREPARED/, { kind: 'reply', reply: refused('42704') });
    const outcome = bench.coordinator.commit(bench.shards.map((shard) => shard.branch()));
    await bench.clock.advance(200);
    expect(await outcome).toMatchObject({ kind: 'committed', unfinished: 1 });
    expect(bench.ended).toEqual([]);
  });

  it('when no shard confirms, the client is told 08007 with the id, not an abort', async () => {
    const bench = new BenchOfShards(2);
    for (const shard of bench.shards) shard.breakOn(/^COMMIT PREPARED/, { kind: 'hang', executed: false });
    const outcome = bench.coordinator.commit(bench.shards.map((shard) => shard.branch()));
    await bench.clock.advance(300);
    const told = await outcome;
    expect(told).toMatchObject({ kind: 'unknown', error: { code: '08007' } });
    expect(told.kind === 'unknown' && told.error.message).toContain('k3x9q:proxy-0.1789.1 is decided to commit');
    bench.resolveAll();
    await settled();
    expect(bench.fates()).toEqual(['committed', 'committed']);
    expect(bench.coordinator.driving().size).toBe(0);
  });

  it('PgDog 3: a decision that the log could not write is neither carried out nor undone nor acknowledged (I13)', async () => {
    const bench = new BenchOfShards(2);
    bench.logBehaviour = 'fails';
    const outcome = await bench.coordinator.commit(bench.shards.map((shard) => shard.branch()));
    expect(outcome).toMatchObject({ kind: 'unknown', error: { code: '08007' } });
    expect(bench.fates()).toEqual(['prepared', 'prepared']);
    expect(bench.handedOver).toEqual([]);
    // Recovery in this process must not touch them either: it would presume abort.
    expect(bench.coordinator.driving()).toEqual(new Set(['1789.1']));
  });

  it('a full disk refuses before anything is prepared (I14), and one-shard commits go on', async () => {
    const bench = new BenchOfShards(2);
    bench.logBehaviour = 'full';
    const outcome = await bench.coordinator.commit(bench.shards.map((shard) => shard.branch()));
    expect(outcome).toMatchObject({ kind: 'aborted', error: { code: '53100' } });
    expect(bench.lines).toEqual(['shard-0: ROLLBACK', 'shard-1: ROLLBACK']);
    const single = new BenchOfShards(1);
    single.logBehaviour = 'full';
    expect(await single.coordinator.commit([single.shard(0).branch()])).toMatchObject({ kind: 'committed' });
  });
});

describe('stopping', () => {
  it('PgDog 12: drain waits for commits in progress, not for what the resolver has', async () => {
    const bench = new BenchOfShards(2);
    bench.shard(1).breakOn(/^COMMIT PREPARED/, { kind: 'hang', executed: false });
    const outcome = bench.coordinator.commit(bench.shards.map((shard) => shard.branch()));
    let drained = false;
    const drain = bench.coordinator.drain().then(() => {
      drained = true;
    });
    await settled();
    expect(drained).toBe(false);
    await bench.clock.advance(300);
    expect(await outcome).toMatchObject({ kind: 'committed', unfinished: 1 });
    await drain;
    expect(bench.handedOver).toHaveLength(1);
  });

  it('drain of an idle coordinator is immediate', async () => {
    await expect(new BenchOfShards(1).coordinator.drain()).resolves.toBeUndefined();
  });
});

describe('with two-phase commit switched off', () => {
  it('writers commit in turn, and telemetry hears of it', async () => {
    const unsafe: number[] = [];
    const bench = new BenchOfShards(2, {
      twoPhaseCommit: false,
      observer: { unsafe: (writers) => unsafe.push(writers) },
    });
    const outcome = await bench.coordinator.commit(bench.shards.map((shard) => shard.branch()));
    expect(outcome).toMatchObject({ kind: 'committed' });
    expect(bench.lines).toEqual(['shard-0: COMMIT', 'shard-1: COMMIT']);
    expect(unsafe).toEqual([2]);
  });

  it('a writer that fails behind one that committed is told as what it is, never as an abort', async () => {
    const bench = new BenchOfShards(3, { twoPhaseCommit: false });
    bench.shard(1).breakOn(/^COMMIT/, { kind: 'reply', reply: refused('23505') });
    const outcome = await bench.coordinator.commit(bench.shards.map((shard) => shard.branch()));
    expect(outcome).toMatchObject({ kind: 'unknown', error: { code: '08007' } });
    expect(outcome.kind === 'unknown' && outcome.error.message).toContain('committed on shard-0 but not on shard-1');
    expect(bench.shard(2).fate).toBe('aborted');
  });

  it('the first writer that fails is an abort of all', async () => {
    const bench = new BenchOfShards(2, { twoPhaseCommit: false });
    bench.shard(0).breakOn(/^COMMIT/, { kind: 'reply', reply: refused('23505') });
    const outcome = await bench.coordinator.commit(bench.shards.map((shard) => shard.branch()));
    expect(outcome).toMatchObject({ kind: 'aborted', error: { code: '23505' } });
    expect(bench.shard(1).fate).toBe('aborted');
  });
});
