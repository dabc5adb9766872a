// A shard in memory with one branch: answers commands like PostgreSQL, and misbehaves exactly where a test says.
import type { SqlError } from '../../../src/protocol/sql-error.ts';
import type { BranchLink, CommandReply, ConnectionLost } from '../../../src/shard/branch-link.ts';
import type { Branch } from '../../../src/transaction/plan-commit.ts';

/** What happens instead of the normal reply; `executed` says whether the command takes effect on the way. */
export type Fault =
  | { readonly kind: 'reply'; readonly reply: CommandReply; readonly executed?: boolean }
  | { readonly kind: 'lost'; readonly executed: boolean }
  | { readonly kind: 'hang'; readonly executed: boolean };

export type BranchFate = 'open' | 'failed' | 'prepared' | 'committed' | 'aborted';

export const LOST: ConnectionLost = { reason: 'socket', message: 'read ECONNRESET' };

export function complete(
  tag: string,
  notices: readonly SqlError[] = [],
  rows: readonly (string | null)[][] = [],
): CommandReply {
  return { kind: 'complete', tag, notices, rows };
}

export function refused(code: string, message = `refused with ${code}`, severity = 'ERROR'): CommandReply {
  return { kind: 'error', error: { severity, code, message } };
}

export class FakeShard implements BranchLink {
  readonly shard: string;
  readonly identity = { systemIdentifier: '73', timeline: 1, backendPid: 7, backendStart: '2026-01-01' };
  fate: BranchFate = 'open';
  gid: string | null = null;
  destroyed: string | null = null;
  /** Every command that left, in order. */
  readonly sent: string[] = [];
  readonly #faults: [RegExp, Fault][] = [];
  readonly #log: (line: string) => void;
  #hanging: ((reply: CommandReply) => void)[] = [];

  constructor(shard: string, log: (line: string) => void = () => undefined) {
    this.shard = shard;
    this.#log = log;
  }

  /** The next command that matches goes wrong like this. */
  breakOn(command: RegExp, fault: Fault): this {
    this.#faults.push([command, fault]);
    return this;
  }

  branch(xid: string | null | 'unasked' = '700', written = true): Branch {
    return { link: this, xid: xid === 'unasked' ? undefined : xid, written };
  }

  async command(sql: string): Promise<CommandReply> {
    this.sent.push(sql);
    this.#log(`${this.shard}: ${sql}`);
    if (this.destroyed !== null) return { kind: 'lost', lost: { reason: 'destroyed', message: this.destroyed } };
    const at = this.#faults.findIndex(([pattern]) => pattern.test(sql));
    const [, fault] = at === -1 ? [] : (this.#faults.splice(at, 1)[0] ?? []);
    if (fault === undefined) return this.#execute(sql);
    if (fault.executed === true) this.#execute(sql);
    // A connection that is lost takes its open branch with it; a prepared one stays.
    else if (fault.kind === 'lost' && this.fate === 'open') this.fate = 'aborted';
    switch (fault.kind) {
      case 'reply':
        return fault.reply;
      case 'lost':
        this.destroyed = LOST.message;
        return { kind: 'lost', lost: LOST };
      case 'hang':
        return new Promise((resolve) => this.#hanging.push(resolve));
    }
  }

  destroy(reason: string): void {
    this.destroyed ??= reason;
    for (const resolve of this.#hanging.splice(0))
      resolve({ kind: 'lost', lost: { reason: 'destroyed', message: reason } });
  }

  /** What the resolver does on this shard. */
  finish(decision: 'commit' | 'abort'): void {
    if (this.fate === 'prepared') this.fate = decision === 'commit' ? 'committed' : 'aborted';
    else if (this.fate === 'open') this.fate = 'aborted';
  }

  #execute(sql: string): CommandReply {
    const prepare = /^PREPARE TRANSACTION '(.*)'$/.exec(sql);
    if (prepare !== null) return this.#prepare(prepare[1] ?? '');
    if (sql === 'COMMIT') return this.#end('committed', 'COMMIT');
    if (sql === 'ROLLBACK') return this.#end('aborted', 'ROLLBACK');
    if (sql === 'SELECT pg_catalog.pg_current_xact_id_if_assigned()') return complete('SELECT 1', [], [['700']]);
    const finish = /^(COMMIT|ROLLBACK) PREPARED '(.*)'$/.exec(sql);
    if (finish === null) throw new Error(`the fake shard does not know: ${sql}`);
    if (this.fate !== 'prepared' || this.gid !== finish[2]) return refused('42704');
    this.fate = finish[1] === 'COMMIT' ? 'committed' : 'aborted';
    return complete(`${finish[1]} PREPARED`);
  }

  #prepare(gid: string): CommandReply {
    if (this.fate === 'failed') return refused('25P02');
    if (this.fate !== 'open') return complete('ROLLBACK');
    this.fate = 'prepared';
    this.gid = gid;
    return complete('PREPARE TRANSACTION');
  }

  #end(fate: 'committed' | 'aborted', tag: string): CommandReply {
    const reached = this.fate === 'failed' ? 'aborted' : fate;
    if (this.fate === 'open' || this.fate === 'failed') this.fate = reached;
    return complete(reached === 'aborted' ? 'ROLLBACK' : tag);
  }
}
