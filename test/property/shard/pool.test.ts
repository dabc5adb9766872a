// A pool under random schedules: never two holders, never too many connections, nobody waits for ever, first come first served.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as write from '../../../src/protocol/server-message.ts';
import type { ServerConnection } from '../../../src/shard/connection.ts';
import { Pool, type Taken } from '../../../src/shard/pool.ts';
import { FakeServer, fatal, reply } from '../../unit/shard/fake-server.ts';
import { ManualClock, settle } from '../../unit/shard/manual-clock.ts';

const SIZE_MAX = 3;
const QUEUE_MAX = 4;

type Step =
  | { readonly kind: 'take' | 'tryTake' | 'break-server' | 'mend-server' | 'kill-backend' }
  | { readonly kind: 'give' | 'dirty-give' | 'destroy'; readonly which: number }
  | { readonly kind: 'advance'; readonly ms: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.constant<Step>({ kind: 'take' }) },
  { weight: 2, arbitrary: fc.constant<Step>({ kind: 'tryTake' }) },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constantFrom('give', 'give', 'dirty-give', 'destroy'), which: fc.nat(9) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('advance'), ms: fc.constantFrom(10, 300, 1_000, 40_000) }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom<Step>({ kind: 'break-server' }, { kind: 'mend-server' }, { kind: 'kill-backend' }),
  },
);

class Run {
  readonly clock = new ManualClock();
  readonly held: ServerConnection[] = [];
  readonly order: number[] = [];
  readonly server: FakeServer;
  readonly pool: Pool;
  asked = 0;
  answered = 0;

  constructor(server: FakeServer) {
    this.server = server;
    this.pool = new Pool(server.target, {
      sizeMax: SIZE_MAX,
      queueMax: QUEUE_MAX,
      queueWaitMs: 1_000,
      idleMs: 30_000,
      lifetimeMs: 100_000,
      connectTimeoutMs: 2_000,
      clock: this.clock,
      random: () => 0.5,
    });
  }

  hold(connection: ServerConnection): void {
    expect(this.held).not.toContain(connection);
    this.held.push(connection);
  }

  answer(number: number, taken: Taken): void {
    this.answered += 1;
    if (taken.kind === 'refused') return;
    this.order.push(number);
    this.hold(taken.connection);
  }

  async do(what: Step): Promise<void> {
    switch (what.kind) {
      case 'take': {
        const number = this.asked++;
        void this.pool.take().then((taken) => this.answer(number, taken));
        break;
      }
      case 'tryTake': {
        const connection = this.pool.tryTake();
        if (connection !== undefined) this.hold(connection);
        break;
      }
      case 'give':
      case 'dirty-give':
      case 'destroy': {
        const [connection] = this.held.splice(what.which % Math.max(1, this.held.length), 1);
        if (connection === undefined) break;
        if (what.kind === 'destroy') connection.destroy('test');
        if (what.kind === 'dirty-give') await connection.command('BEGIN');
        this.pool.give(connection);
        break;
      }
      case 'advance':
        await this.clock.advance(what.ms);
        break;
      case 'break-server':
        this.server.greeting = fatal('57P03', 'starting up');
        break;
      case 'mend-server':
        this.server.greeting = undefined;
        break;
      case 'kill-backend':
        this.server.backends.at(-1)?.socket.destroy();
        break;
    }
    await settle();
    this.check();
  }

  check(): void {
    const { idle, leased, opening, waiting } = this.pool.stats();
    expect(idle + leased + opening).toBeLessThanOrEqual(SIZE_MAX);
    expect(waiting).toBeLessThanOrEqual(QUEUE_MAX);
    expect(idle === 0 || waiting === 0).toBe(true);
    expect(leased).toBe(this.held.filter((connection) => !connection.closed).length);
    expect(this.asked - this.answered).toBe(waiting);
    // Leases came in the order of asking.
    expect(this.order).toEqual(this.order.toSorted((a, b) => a - b));
  }
}

describe('a pool under any schedule', () => {
  it('keeps its bounds and its order, and ends empty', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60, size: 'max' }), async (steps) => {
        await using server = await FakeServer.start();
        server.onQuery = ({ socket }) => void socket.write(reply('BEGIN', write.READY_TRANSACTION));
        const run = new Run(server);
        for (const what of steps) await run.do(what);
        // Nobody waits for ever: time alone answers everyone.
        await run.clock.advance(1_000);
        await settle();
        expect(run.answered).toBe(run.asked);
        for (const connection of run.held.splice(0)) run.pool.give(connection);
        await run.pool.close();
        await settle();
        expect(run.pool.stats()).toMatchObject({ idle: 0, leased: 0, opening: 0, waiting: 0 });
        expect(run.clock.sleeping).toBe(0);
      }),
      { numRuns: 150 },
    );
  });
});
