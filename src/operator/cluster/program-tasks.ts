// What is done in SQL: beside the workers, one task at a time per server, so that a slow server holds up nobody.
// The rule: a task that fails is forgotten but for its failure; the next look decides whether it is wanted again.
import { createHash } from 'node:crypto';
import type { Clock } from '../../kernel/clock.ts';
import type { Asked, SetupOutcome, ShardSetup, SqlFailure, SqlTarget } from '../sql/facts.ts';
import type { ShardSetupState } from './observation.ts';

export type ProxyCommand = 'RELOAD' | 'DRAIN' | 'RESUME';

/** The SQL that tasks are made of. */
export interface SqlPort {
  readonly setUpShard: (target: SqlTarget, wanted: ShardSetup) => Promise<Asked<SetupOutcome>>;
  readonly reloadShard: (target: SqlTarget) => Promise<Asked<unknown>>;
  readonly commandProxy: (target: SqlTarget, command: ProxyCommand) => Promise<Asked<unknown>>;
}

export type ProgramTask =
  | { readonly kind: 'setUpShard'; readonly target: SqlTarget; readonly wanted: ShardSetup }
  | { readonly kind: 'reloadShard'; readonly target: SqlTarget }
  | { readonly kind: 'commandProxy'; readonly target: SqlTarget; readonly command: ProxyCommand };

export type TaskEnd =
  | { readonly kind: 'done'; readonly changed: readonly string[] }
  | { readonly kind: 'failed'; readonly failure: SqlFailure };

export interface ProgramTasksOptions {
  readonly clock: Clock;
  readonly sql: SqlPort;
  /** Told when a task ended; the cluster is then looked at again. */
  readonly onEnd: (clusterKey: string, task: ProgramTask, end: TaskEnd) => void;
}

/** A server that failed is left alone for this long. */
const AGAIN_MS = 5_000;
/** The same asked again, e.g. RELOAD while the kubelet has not brought the file yet. */
const SAME_AGAIN_MS = 1_000;
/** Role, right or extension that could not be made: tried again this often. */
const PROBLEMS_AGAIN_MS = 15_000;

interface Setup {
  readonly wanted: string;
  readonly state: ShardSetupState;
}

export class ProgramTasks {
  readonly #options: ProgramTasksOptions;
  /** `cluster key` and server's name, of tasks that run. */
  readonly #running = new Set<string>();
  /** By server, and by server and command. */
  readonly #notBefore = new Map<string, number>();
  readonly #setups = new Map<string, Setup>();

  constructor(options: ProgramTasksOptions) {
    this.#options = options;
  }

  /** What became of the setup that is wanted now. */
  setupOf(clusterKey: string, shard: string, wanted: ShardSetup | undefined): ShardSetupState {
    const known = this.#setups.get(slot(clusterKey, shard));
    if (known === undefined || wanted === undefined) return { kind: 'due' };
    // After a change of a password the shard still works as before: it is due, and not done.
    return known.wanted === digest(wanted) ? known.state : { kind: 'due' };
  }

  /** Begins the task, unless one runs for that server, the last one failed just now, or it was this one just now. */
  start(clusterKey: string, task: ProgramTask): void {
    const { clock } = this.#options;
    const key = slot(clusterKey, task.target.name);
    const isEarly = (which: string) => (this.#notBefore.get(which) ?? 0) > clock.monotonicMs();
    if (this.#running.has(key) || isEarly(key) || isEarly(commandKey(key, task))) return;
    this.#running.add(key);
    void this.#run(clusterKey, key, task);
  }

  forget(clusterKey: string): void {
    for (const map of [this.#setups, this.#notBefore]) {
      for (const key of [...map.keys()]) if (key.startsWith(`${clusterKey}\n`)) map.delete(key);
    }
  }

  async #run(clusterKey: string, key: string, task: ProgramTask): Promise<void> {
    const { clock, onEnd } = this.#options;
    const asked = await this.#perform(task);
    this.#running.delete(key);
    if (asked.kind === 'failed') this.#notBefore.set(key, clock.monotonicMs() + AGAIN_MS);
    else this.#notBefore.delete(key);
    if (task.kind !== 'setUpShard') this.#notBefore.set(commandKey(key, task), clock.monotonicMs() + SAME_AGAIN_MS);
    else this.#setups.set(key, { wanted: digest(task.wanted), state: stateOf(asked, clock) });
    const changed = asked.kind === 'answer' && task.kind === 'setUpShard' ? (asked.value as SetupOutcome).changed : [];
    onEnd(clusterKey, task, asked.kind === 'answer' ? { kind: 'done', changed } : asked);
  }

  async #perform(task: ProgramTask): Promise<Asked<unknown>> {
    const { sql } = this.#options;
    switch (task.kind) {
      case 'setUpShard':
        return sql.setUpShard(task.target, task.wanted);
      case 'reloadShard':
        return sql.reloadShard(task.target);
      case 'commandProxy':
        return sql.commandProxy(task.target, task.command);
    }
  }
}

function stateOf(asked: Asked<unknown>, clock: Clock): ShardSetupState {
  if (asked.kind === 'failed') return { ...asked, againAtMs: clock.nowMs() + AGAIN_MS };
  const { problems } = asked.value as SetupOutcome;
  return problems.length === 0
    ? { kind: 'done', problems }
    : { kind: 'done', problems, againAtMs: clock.nowMs() + PROBLEMS_AGAIN_MS };
}

function slot(clusterKey: string, server: string): string {
  return `${clusterKey}\n${server}`;
}

function commandKey(server: string, task: ProgramTask): string {
  return `${server}\n${task.kind} ${task.kind === 'commandProxy' ? task.command : ''}`;
}

/** Passwords are among what is wanted: only a hash of it is kept. */
function digest(wanted: ShardSetup): string {
  return createHash('sha256').update(JSON.stringify(wanted)).digest('base64');
}
