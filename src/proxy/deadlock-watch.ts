// Finds transactions that wait for each other over several shards, and cancels the youngest. It asks the shards only when
// two transactions or more have had one statement running for a while; until then it is one timer and a few comparisons.
//
//   tick ─ suspects? ─▶ look ─ circle? ─▶ look again ─ the same waits? ─ still the same statement, not committing? ─▶ cancel
//
// The rule: a circle counts only if each of its waits is the same at both looks. Then all of them were there together at
// the moment between the two, and by themselves they never end.
import type { Clock } from '../kernel/clock.ts';
import type { LockWait } from '../recovery/lock-waits.ts';
import type { Answer } from '../recovery/shard-probe.ts';
import type { Deadlock } from '../session/deadlock-error.ts';
import { findVictims, type Victim, type WaitEdge } from '../session/deadlock-graph.ts';
import type { RunningTransaction, RunningTransactions } from '../session/running-transactions.ts';

/** The question a shard is asked; it may go unanswered, but not for ever. */
export interface LockWaitSource {
  lockWaits(pids: readonly number[]): Promise<Answer<readonly LockWait[]>>;
}

export interface DeadlockWatchDeps {
  readonly running: RunningTransactions;
  /** By logical shard name. */
  readonly shards: ReadonlyMap<string, LockWaitSource>;
  readonly clock: Clock;
  /** Between two looks at what is running; a statement is suspected when two of them see it. */
  readonly timeoutMs: number;
  readonly onDeadlock: (deadlock: Deadlock) => void;
}

/** A transaction of ours, or a backend that is nobody's we know: `<shard>/<pid>`. */
type Vertex = RunningTransaction | string;

interface Edge extends WaitEdge<Vertex> {
  readonly waiterPid: number;
  readonly blockerPid: number;
  readonly since: string;
}

/** Where each transaction stood; at another step it runs another statement, and what was seen of it is void. */
type Steps = ReadonlyMap<RunningTransaction, number>;

export class DeadlockWatch {
  readonly #deps: DeadlockWatchDeps;
  readonly #stopping = new AbortController();
  #busyBefore: Steps = new Map();
  #loop: Promise<void> | undefined;

  constructor(deps: DeadlockWatchDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  /** Ends the watch; a look under way is over when this resolves. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    for (;;) {
      await this.#deps.clock.sleep(this.#deps.timeoutMs, signal);
      if (signal.aborted) return;
      await this.tick();
    }
  }

  /** One turn of the watch. */
  async tick(): Promise<void> {
    const busy = busyOverShards(this.#deps.running);
    const suspects = [...busy].filter(([transaction, step]) => this.#busyBefore.get(transaction) === step);
    this.#busyBefore = busy;
    // One alone cannot wait in a circle over several shards: every change of the shard goes through another such one.
    if (suspects.length < 2) return;
    const pids = busyPidsByShard(suspects.map(([transaction]) => transaction));
    const steps: Steps = new Map([...this.#deps.running].map((transaction) => [transaction, transaction.step]));
    const first = await this.#look(pids);
    if (findVictims({ edges: first, cancellable: cancellable(steps) }).length === 0) return;
    const again = new Set((await this.#look(pids)).map(nameOf));
    const same = (vertex: Vertex) =>
      typeof vertex === 'string' || (this.#deps.running.has(vertex) && vertex.step === steps.get(vertex));
    const edges = first.filter((edge) => again.has(nameOf(edge)) && same(edge.waiter) && same(edge.blocker));
    for (const victim of findVictims({ edges, cancellable: cancellable(steps) })) this.#cancel(victim);
  }

  async #look(pids: ReadonlyMap<string, readonly number[]>): Promise<Edge[]> {
    // Whose backends these are is taken before the question and checked by its step after the last one.
    const owners = ownersOf(this.#deps.running);
    const looks = [...pids].map(async ([shard, asked]) => {
      const answer = await this.#deps.shards.get(shard)?.lockWaits(asked);
      // What a shard does not say is not there: a circle through it is found when it answers again.
      return answer?.kind === 'answer' ? edgesOf(shard, answer.value, owners) : [];
    });
    return (await Promise.all(looks)).flat();
  }

  #cancel({ who, cycle }: Victim<Vertex, Edge>): void {
    // Checked in one go with the cancel: between the two nothing can begin to commit.
    if (typeof who === 'string' || who.committing) return;
    const deadlock = { waits: cycle.map(({ shard, waiterPid, blockerPid }) => ({ shard, waiterPid, blockerPid })) };
    who.cancelFor(deadlock);
    this.#deps.onDeadlock(deadlock);
  }
}

/** Transactions over two shards or more that wait for a reply, each with its step. */
function busyOverShards(running: RunningTransactions): Steps {
  const busy = new Map<RunningTransaction, number>();
  for (const transaction of running) {
    const backends = transaction.backends();
    if (backends.length > 1 && backends.some((backend) => backend.busy)) busy.set(transaction, transaction.step);
  }
  return busy;
}

function busyPidsByShard(transactions: readonly RunningTransaction[]): Map<string, number[]> {
  const busy = transactions.flatMap((transaction) => transaction.backends().filter((backend) => backend.busy));
  return new Map(
    [...Map.groupBy(busy, ({ shard }) => shard)].map(([shard, some]) => [shard, some.map(({ pid }) => pid)]),
  );
}

function cancellable(steps: Steps): Map<Vertex, number> {
  const open = [...steps.keys()].filter(({ committing }) => !committing);
  return new Map(open.map((transaction) => [transaction, transaction.order]));
}

function ownersOf(running: RunningTransactions): Map<string, RunningTransaction> {
  const owners = new Map<string, RunningTransaction>();
  for (const transaction of running) {
    for (const { shard, pid } of transaction.backends()) owners.set(`${shard}/${pid}`, transaction);
  }
  return owners;
}

function edgesOf(shard: string, waits: readonly LockWait[], owners: ReadonlyMap<string, RunningTransaction>): Edge[] {
  const vertex = (pid: number): Vertex => owners.get(`${shard}/${pid}`) ?? `${shard}/${pid}`;
  return waits.flatMap(({ pid, since, blockers }) =>
    blockers.map((blocker) => ({
      waiter: vertex(pid),
      blocker: vertex(blocker),
      shard,
      waiterPid: pid,
      blockerPid: blocker,
      since,
    })),
  );
}

/** Two looks that show this saw one and the same wait. */
function nameOf({ shard, waiterPid, blockerPid, since }: Edge): string {
  return `${shard}/${waiterPid} ${since} ${blockerPid}`;
}
