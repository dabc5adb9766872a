// Gathers messages of one batch that go to the same shards into one packet, and sends it alone or inside the transaction.
import type { Merge } from '../routing/plan.ts';
import { ClientTransaction } from './client-transaction.ts';
import { type GroupItem, groupDispatch } from './extended-group.ts';
import { checkShape, shapeInDoubt } from './result-shape.ts';
import { DONE, type Ran, ranInto, type SessionState } from './session-state.ts';
import { runAlone, runInside, runInsideOnMany, runOnMany } from './statement-runner.ts';
import { failedBlockError } from './transaction-end.ts';

/** What is gathered for one packet. `shards` undefined: nothing in it cares where it goes yet. */
interface Group {
  items: GroupItem[];
  shards: readonly number[] | undefined;
  executes: number;
  writes: boolean;
  copies: boolean;
  merge: Merge;
  lockFirst: string | undefined;
}

const emptyGroup = (): Group => ({
  items: [],
  shards: undefined,
  executes: 0,
  writes: false,
  copies: false,
  merge: 'concat',
  lockFirst: undefined,
});

export class Gathering {
  readonly #session: SessionState;
  #group = emptyGroup();

  constructor(session: SessionState) {
    this.#session = session;
  }

  /** Where the gathered messages go; undefined while nothing in them cares. */
  get shards(): readonly number[] | undefined {
    return this.#group.shards;
  }

  set shards(shards: readonly number[]) {
    this.#group.shards = shards;
  }

  /** How the replies to what was bound last are merged, and what must be locked before it. */
  mergeBy(merge: Merge, lockFirst: string | undefined): void {
    this.#group.merge = merge;
    this.#group.lockFirst = lockFirst;
  }

  /** Execute messages gathered so far. */
  get executes(): number {
    return this.#group.executes;
  }

  add(item: GroupItem): void {
    this.#group.items.push(item);
  }

  executed(writes: boolean, copies: boolean): void {
    this.#group.copies ||= copies;
    this.#group.executes++;
    this.#group.writes ||= writes;
  }

  /** Replies of the proxy's own, in their place. */
  own(...replies: Buffer[]): void {
    for (const bytes of replies) this.#group.items.push({ kind: 'own', bytes });
  }

  /** Messages for `shards` follow: what was gathered for other shards leaves first. */
  async moveTo(shards: readonly number[]): Promise<Ran> {
    const gathered = this.#group.shards;
    const same =
      gathered !== undefined && gathered.length === shards.length && gathered.every((shard, i) => shard === shards[i]);
    if (same && (shards.length === 1 || this.#group.executes === 0)) return DONE;
    const carriesDescribe = this.#group.items.some((item) => item.kind === 'describe-statement' || item.kind === 'own');
    if (gathered !== undefined || (shards.length > 1 && carriesDescribe)) {
      const ran = await this.flush(false);
      if (ran.kind !== 'done') return ran;
    }
    this.#group.shards = shards;
    return DONE;
  }

  /** A merged reply has no place for descriptions of other statements. */
  async leaveMerged(): Promise<Ran> {
    return (this.#group.shards?.length ?? 0) > 1 ? this.flush(false) : DONE;
  }

  /** Sends the group. `last`: nothing but Sync follows, so an idle session may let the shard commit by itself. */
  async flush(last: boolean): Promise<Ran> {
    const session = this.#session;
    const group = this.#group;
    this.#group = emptyGroup();
    if (group.items.length === 0) return DONE;
    if (group.items.every((item) => item.kind === 'own')) {
      for (const item of group.items) if (item.kind === 'own') session.writer.write(item.bytes);
      return DONE;
    }
    const touches = group.items.some((item) => item.kind === 'bind' || item.kind === 'execute');
    if (session.transaction === undefined && touches && !last) {
      session.transaction = new ClientTransaction(session, { hidden: true, modes: '' });
    }
    // Who only prepares does not make a shard take part, nor wait for those who do: pgbench lets all its clients wait with it.
    const onlyPrepares = !touches && (session.transaction?.branches.size ?? 0) === 0;
    const { transaction } = session;
    if (transaction !== undefined && transaction.state !== 'open') return ranInto(failedBlockError);
    // Descriptions come from the shard that catalogs are read from: types made by users have other oids elsewhere.
    const anywhere = touches ? session.anyShard() : 0;
    const shards = group.shards ?? [transaction?.branches.keys().next().value ?? anywhere];
    const dispatch = { ...groupDispatch(group.items, session.services.statementNames), copies: group.copies };
    const [first = 0] = shards;
    for (const item of group.items) {
      if (item.kind !== 'bind' || !shapeInDoubt(session, item.statement)) continue;
      const error = await checkShape(session, item.statement, first);
      if (error !== undefined) return ranInto(error);
    }
    if (shards.length === 1) {
      if (transaction === undefined || onlyPrepares) {
        return runAlone(session, first, dispatch, group.writes, onlyPrepares);
      }
      return runInside(session, transaction, first, dispatch, group.writes);
    }
    const traits = { writes: group.writes, merge: group.merge, lockFirst: group.lockFirst };
    if (transaction === undefined) return runOnMany(session, shards, dispatch, traits);
    return runInsideOnMany(session, transaction, shards, dispatch, traits);
  }
}
