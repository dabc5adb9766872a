// One run of the setup on one server: who we are there, what was changed so far and what could not be.
// The rule: an error for one statement is a problem and the run goes on; a lost connection ends the run.
import type { SetupProblem, ShardSetup, SqlFailure, SqlTarget } from './facts.ts';
import { type Rows, rowsByName, type SqlSession } from './sql-session.ts';

/** Thrown inside a run when it cannot go on; the failure is what the caller gets. */
export class SetupStopped extends Error {
  override readonly name = 'SetupStopped';
  readonly failure: SqlFailure;

  constructor(failure: SqlFailure) {
    super(failure.message);
    this.failure = failure;
  }
}

/** Who we are on the server. */
export interface OwnRole {
  readonly name: string;
  readonly superuser: boolean;
  /** server_version_num. */
  readonly version: number;
}

export interface SetupRun {
  readonly target: SqlTarget;
  readonly wanted: ShardSetup;
  readonly me: OwnRole;
  readonly changed: string[];
  readonly problems: SetupProblem[];
}

/** Rows of a question; an answer is needed to go on. */
export async function ask(session: SqlSession, sql: string, values: readonly unknown[] = []): Promise<Rows> {
  const reply = await session.run(sql, values);
  if (reply.kind === 'failed') throw new SetupStopped(reply.failure);
  return reply.value.rows;
}

/** As {@link ask}, each row by the names of its columns. */
export async function askByName(session: SqlSession, sql: string, values: readonly unknown[] = []) {
  const reply = await session.run(sql, values);
  if (reply.kind === 'failed') throw new SetupStopped(reply.failure);
  return rowsByName(reply.value);
}

export interface Attempt {
  /** What is said when it worked, e.g. `created role app`. */
  readonly done: string;
  /** Role, database or extension that it is about. */
  readonly subject: string;
  /** What a person with more rights would run; shown when we may not. */
  readonly remedy: string;
}

/** Runs a change; what the server refuses becomes a problem. True when it was done. */
export async function attempt(run: SetupRun, session: SqlSession, sql: string, what: Attempt): Promise<boolean> {
  // A crash after it leaves the change made; the next run sees that and goes on behind it.
  const reply = await session.run(sql);
  if (reply.kind === 'answer') {
    run.changed.push(what.done);
    return true;
  }
  const { failure } = reply;
  if (failure.kind !== 'refused') throw new SetupStopped(failure);
  if (failure.code === '42501') run.problems.push(notAllowed(run, what.subject, failure.message, what.remedy));
  else run.problems.push({ kind: 'refused', subject: what.subject, message: failure.message });
  return false;
}

/** A problem that somebody with more rights can end; `remedy` is what they run. */
export function notAllowed(run: SetupRun, subject: string, fault: string, remedy: string): SetupProblem {
  const { name } = run.target;
  const said = fault.startsWith(`${name}: `) ? fault : `${name}: ${fault}`;
  const message = `${said}; role ${run.me.name} may not do it: as superuser run ${remedy}`;
  return { kind: 'not-allowed', subject, message };
}
