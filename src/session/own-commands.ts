// Which prepared statements never leave the proxy: what they do concerns the session, and it answers them itself.
import { NO_DATA, rowDescription, textField } from '../protocol/server-message.ts';
import { SESSION_ACTIONS, type StatementAction } from '../routing/plan.ts';
import type { ClientStatement } from './session-state.ts';

/** SHOW application_name: on the shards it is the proxy's. */
export const showsOwn = (action: StatementAction) => action.kind === 'show' && action.name === 'application_name';

/** What SHOW application_name describes itself as. */
export const OWN_ROW = rowDescription([textField('application_name')]);

/** Whether a prepared statement is one of them. */
export const isOwn = ({ planned }: ClientStatement) =>
  planned !== undefined && (SESSION_ACTIONS.has(planned.action.kind) || showsOwn(planned.action));

/** The reply to Describe for a statement that is one of them. */
export const describeOwn = ({ planned }: ClientStatement) =>
  planned !== undefined && showsOwn(planned.action) ? OWN_ROW : NO_DATA;
