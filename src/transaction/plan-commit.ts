// Which way a transaction commits, by what its branches wrote; read-only and one-shard transactions never pay for 2pc.
import type { BranchLink } from '../shard/branch-link.ts';
import type { Role } from './commit-protocol.ts';

/** One shard's part of a client's transaction. */
export interface Branch {
  readonly link: BranchLink;
  /** Conservative: a function call or anything unknown counts as a write. */
  readonly written: boolean;
  /**
   * From pg_current_xact_id_if_assigned(), asked behind the branch's last statement (an answer from before a later
   * statement counts as not asked): the xid, null when none was assigned, undefined when not asked.
   */
  readonly xid: string | null | undefined;
}

/**
 * - ask: two or more may have written and some have no xid yet; without it there is neither a gid nor evidence.
 * - one-phase: plain COMMITs, readers first; with one writer at most this is as atomic as PostgreSQL.
 * - two-phase: prepare the writers; readers commit as their vote.
 */
export type CommitPlan =
  | { readonly kind: 'ask'; readonly participants: readonly number[] }
  | { readonly kind: 'one-phase' | 'two-phase'; readonly roles: readonly Role[] };

/** No xid means nothing durable, whatever the statements looked like; an xid means a writer, likewise. */
export function roleOf(branch: Branch): Role {
  if (branch.xid === undefined) return branch.written ? 'writer' : 'reader';
  return branch.xid === null ? 'reader' : 'writer';
}

/** Decides the way; `twoPhase` false is the documented unsafe mode in which writers commit one after another. */
export function planCommit(branches: readonly Branch[], twoPhase: boolean): CommitPlan {
  const roles = branches.map(roleOf);
  const writers = roles.filter((role) => role === 'writer').length;
  if (writers < 2) return { kind: 'one-phase', roles };
  const unasked = branches.flatMap((branch, i) => (branch.xid === undefined && roles[i] === 'writer' ? [i] : []));
  if (unasked.length > 0) return { kind: 'ask', participants: unasked };
  return { kind: twoPhase ? 'two-phase' : 'one-phase', roles };
}
