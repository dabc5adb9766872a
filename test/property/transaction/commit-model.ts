// An exhaustive model of one two-phase commit: the real machine, servers that do the worst they may, a log that may fail,
// messages that are lost before or after they took effect or surface late, and a crash of the proxy at every point.
import {
  beginCommit,
  type CommitEffect,
  type CommitEvent,
  type CommitState,
  type Role,
  step,
} from '../../../src/transaction/commit-protocol.ts';

type Command = 'prepare' | 'commit-reader' | 'commit-prepared' | 'rollback-prepared';

export interface Shard {
  readonly role: Role;
  readonly server: 'open' | 'prepared' | 'committed' | 'aborted';
  /** A command that the server has not executed yet. */
  readonly inbox: Command | null;
  /** The event that will reach the machine. */
  readonly reply: CommitEvent | null;
  /** The connection is gone but its last command may still be executed (a backend that has not noticed). */
  readonly zombie: Command | null;
  /** The resolver's order. */
  readonly job: 'commit' | 'abort' | null;
}

export interface World {
  readonly machine: CommitState | null;
  readonly shards: readonly Shard[];
  /** none: nothing was ever handed to the log. */
  readonly log: 'none' | 'writing' | 'committed' | 'failed-with-record' | 'failed-without-record';
  readonly logEvent: CommitEvent | null;
  readonly answer: 'committed' | 'aborted' | 'unknown' | null;
  readonly forgotten: 'commit' | 'abort' | null;
  /** How many more connections may be lost; bounds the state space. */
  readonly losses: number;
}

export interface ModelOptions {
  readonly roles: readonly Role[];
  readonly losses: number;
  /** Whether the resolver and recovery terminate old backends first; false proves that the model can find the fault. */
  readonly fence: boolean;
  /** Breaks the machine's rules on purpose, to prove that the model notices. */
  readonly sabotage?: (effects: readonly CommitEffect[], state: CommitState) => readonly CommitEffect[];
}

const error = (message: string) => ({ severity: 'ERROR', code: '40000', message });

export function firstWorld(options: ModelOptions): World {
  const { state, effects } = beginCommit(options.roles);
  const shards = options.roles.map((role): Shard => {
    return { role, server: 'open', inbox: null, reply: null, zombie: null, job: null };
  });
  const world: World = {
    machine: state,
    shards,
    log: 'none',
    logEvent: null,
    answer: null,
    forgotten: null,
    losses: options.losses,
  };
  return perform(world, effects);
}

/** Every world that may come next. None: the end. */
export function nextWorlds(world: World, options: ModelOptions): World[] {
  const next: World[] = [];
  for (const [i, shard] of world.shards.entries()) {
    if (shard.inbox !== null) next.push(...executions(world, i, shard, shard.inbox));
    if (shard.reply !== null) next.push(deliver(set(world, i, { reply: null }), shard.reply, options));
    // A backend that nobody fenced may execute the last command of its dead connection at any time.
    if (shard.zombie !== null) {
      next.push(set(world, i, { zombie: null, server: execute(shard.server, shard.zombie) }));
      next.push(set(world, i, { zombie: null, server: shard.server === 'open' ? 'aborted' : shard.server }));
    }
    if (shard.job !== null && shard.inbox === null) next.push(...resolve(world, i, shard, shard.job, options));
  }
  if (world.log === 'writing') next.push(...logEnds(world));
  if (world.logEvent !== null) next.push(deliver({ ...world, logEvent: null }, world.logEvent, options));
  if (world.machine !== null && !world.machine.answered && !world.machine.late && world.machine.phase !== 'deciding') {
    next.push(deliver(world, { kind: 'late', error: error('late') }, options));
  }
  if (world.machine !== null && world.forgotten === null) next.push(...crash(world, options));
  return next;
}

function executions(world: World, i: number, shard: Shard, command: Command): World[] {
  const done = execute(shard.server, command);
  const answers: World[] = [set(world, i, { inbox: null, server: done, reply: good(i, command) })];
  if (command === 'prepare') {
    answers.push(set(world, i, { inbox: null, server: 'aborted', reply: no(i, false) }));
    answers.push(set(world, i, { inbox: null, server: 'prepared', reply: no(i, true) }));
  }
  if (command === 'commit-reader') answers.push(set(world, i, { inbox: null, server: 'aborted', reply: no(i, false) }));
  if (world.losses > 0) {
    const fewer = { ...world, losses: world.losses - 1 };
    answers.push(set(fewer, i, { inbox: null, server: done, reply: bad(i, command) }));
    answers.push(set(fewer, i, { inbox: null, reply: bad(i, command), zombie: command }));
  }
  return answers;
}

function execute(server: Shard['server'], command: Command): Shard['server'] {
  switch (command) {
    case 'prepare':
      return server === 'open' ? 'prepared' : server;
    case 'commit-reader':
      return server === 'open' ? 'committed' : server;
    case 'commit-prepared':
      return server === 'prepared' ? 'committed' : server;
    case 'rollback-prepared':
      return server === 'prepared' ? 'aborted' : server;
  }
}

function good(participant: number, command: Command): CommitEvent {
  if (command === 'commit-prepared' || command === 'rollback-prepared') {
    return { kind: 'finished', participant, done: true };
  }
  return { kind: 'voted', participant, vote: { kind: 'yes', notices: [] } };
}

function no(participant: number, prepared: boolean): CommitEvent {
  return { kind: 'voted', participant, vote: { kind: 'no', error: error('no'), prepared } };
}

function bad(participant: number, command: Command): CommitEvent {
  const voting = command === 'prepare' || command === 'commit-reader';
  if (!voting) return { kind: 'finished', participant, done: false };
  return { kind: 'voted', participant, vote: { kind: 'unknown', error: error('lost') } };
}

function logEnds(world: World): World[] {
  const failed: CommitEvent = { kind: 'log-failed' };
  return [
    { ...world, log: 'committed', logEvent: { kind: 'decided' } },
    { ...world, log: 'failed-with-record', logEvent: failed },
    { ...world, log: 'failed-without-record', logEvent: failed },
    { ...world, log: 'none', logEvent: { kind: 'log-refused', error: error('refused') } },
  ];
}

/** The resolver: fence the old backend, then finish what stands prepared. Without a prepared row there is nothing to do. */
function resolve(world: World, i: number, shard: Shard, job: 'commit' | 'abort', options: ModelOptions): World[] {
  const server = finishOne(shard, job, options.fence);
  const zombie = options.fence ? null : shard.zombie;
  const finished = set(world, i, { job: null, server, zombie });
  return [world.machine === null ? finished : deliver(finished, { kind: 'resolved', participant: i }, options)];
}

function finishOne(shard: Shard, job: 'commit' | 'abort', fence: boolean): Shard['server'] {
  if (shard.server === 'prepared') return job === 'commit' ? 'committed' : 'aborted';
  return shard.server === 'open' && fence ? 'aborted' : shard.server;
}

/** The process dies; unsent replies die with it, a command that is on its way may still arrive. Recovery asks the log. */
function crash(world: World, options: ModelOptions): World[] {
  const onDisk = world.log === 'committed' || world.log === 'failed-with-record';
  const outcomes = world.log === 'writing' ? [true, false] : [onDisk];
  return outcomes.map((record) => {
    const decision = record ? 'commit' : 'abort';
    const shards = world.shards.map((shard): Shard => {
      const zombie = shard.inbox ?? shard.zombie;
      if (shard.role === 'reader') return { ...shard, inbox: null, reply: null, zombie: null, job: null };
      const server = shard.server === 'open' && options.fence ? 'aborted' : shard.server;
      return { ...shard, server, inbox: null, reply: null, zombie: options.fence ? null : zombie, job: decision };
    });
    const log = record ? 'committed' : 'none';
    return { ...world, machine: null, shards, log, logEvent: null };
  });
}

function deliver(world: World, event: CommitEvent, options: ModelOptions): World {
  if (world.machine === null) return world;
  const { state, effects } = step(world.machine, event);
  const wanted = options.sabotage?.(effects, state) ?? effects;
  return perform({ ...world, machine: state }, wanted);
}

function perform(world: World, effects: readonly CommitEffect[]): World {
  let now = world;
  for (const effect of effects) {
    switch (effect.kind) {
      case 'prepare':
      case 'commit-reader':
      case 'commit-prepared':
      case 'rollback-prepared':
        now = set(now, effect.participant, { inbox: effect.kind });
        break;
      case 'abandon': {
        // The command may be executed later; its reply will never be heard.
        const shard = now.shards[effect.participant];
        const command = shard?.inbox;
        if (command)
          now = set(now, effect.participant, { inbox: null, zombie: command, reply: bad(effect.participant, command) });
        break;
      }
      case 'hand-over':
        now = set(now, effect.participant, { job: effect.decision });
        break;
      case 'decide':
        now = { ...now, log: 'writing' };
        break;
      case 'answer':
        now = { ...now, answer: effect.answer.kind };
        break;
      case 'forget':
        now = { ...now, forgotten: effect.decision };
        break;
    }
  }
  return now;
}

function set(world: World, i: number, change: Partial<Shard>): World {
  const shard = world.shards[i];
  return shard === undefined ? world : { ...world, shards: world.shards.with(i, { ...shard, ...change }) };
}
