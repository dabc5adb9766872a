// Which prepared statements never leave the proxy: what they do concerns the session, and it answers them itself.
import type { StatementAction } from '../routing/plan.ts';
import type { ClientStatement } from './session-state.ts';

/** Commands that the session answers itself, by kind of action. */
const OWN_COMMANDS: ReadonlySet<StatementAction['kind']> = new Set([
  'begin',
  'commit',
  'rollback',
  'savepoint',
  'release',
  'rollbackTo',
  'set',
  'resetAll',
  'setTransaction',
  'setSessionCharacteristics',
  'setConstraints',
  'discard',
  'deallocate',
]);

/** Whether a prepared statement is one of them. */
export const isOwn = (statement: ClientStatement) =>
  statement.planned !== undefined && OWN_COMMANDS.has(statement.planned.action.kind);
