// Cursors live on one shard of the transaction: DECLARE says which, FETCH, CLOSE and the protocol's own messages follow.
import type { StatementAction } from '../routing/plan.ts';
import type { ClientPortal, ClientStatement, SessionState } from './session-state.ts';

type CursorAction = Extract<StatementAction, { kind: 'cursor' }>;

/** DECLARE was sent to `shards`; only a cursor on one shard can be found again. */
export function rememberCursor(session: SessionState, { verb, name }: CursorAction, shards: readonly number[]): void {
  const [shard, second] = shards;
  if (verb !== 'declare' || name === null || shard === undefined || second !== undefined) return;
  session.transaction?.cursors.set(name, shard);
}

/** Where FETCH and CLOSE go. A name that is not known goes to one shard, so that PostgreSQL itself says so. */
export function cursorShards(session: SessionState, { name }: CursorAction): readonly number[] {
  const { transaction } = session;
  const branches = [...(transaction?.branches.keys() ?? [])];
  if (name === null && branches.length > 0) return branches;
  return [transaction?.cursors.get(name ?? '') ?? branches[0] ?? session.anyShard()];
}

/** What the text of a DECLARE was is of no use to its portal: what it may do is not known, so it may write. */
const DECLARED: ClientStatement = {
  name: '',
  text: '',
  parameterTypes: [],
  planned: undefined,
  told: { shape: undefined, name: '' },
};

/** A portal by name; a cursor of DECLARE is one too, as in PostgreSQL (psycopg describes its cursors so). */
export function findPortal(session: SessionState, name: string): ClientPortal | undefined {
  const bound = session.portals.get(name);
  if (bound !== undefined) return bound;
  const shard = session.transaction?.cursors.get(name);
  return shard === undefined ? undefined : { statement: DECLARED, shards: [shard] };
}
