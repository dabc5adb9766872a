// Utility statements by what the session has to do for them. The rule: the list is closed by default in the safe direction:
// a statement kind that is not named here is DDL, which runs on every shard in one two-phase commit.
import type { DeclareCursorStmt, ExplainStmt, Node, TransactionStmt } from 'libpg-query';
import type { StatementAction } from './action.ts';
import { modesOf, setAction } from './set-statement.ts';

/** The action of anything but SELECT, INSERT, UPDATE, DELETE. `text` is the statement's own text. */
export function classifyUtility(node: Node, text: string): StatementAction {
  if ('TransactionStmt' in node) return transactionAction(node.TransactionStmt);
  if ('VariableSetStmt' in node) return setAction(node.VariableSetStmt, text);
  if ('VariableShowStmt' in node) return { kind: 'show', name: (node.VariableShowStmt.name ?? '').toLowerCase() };
  if ('ConstraintsSetStmt' in node) return { kind: 'setConstraints', sql: text };
  if ('DiscardStmt' in node) return discardAction(node.DiscardStmt.target);
  if ('DeallocateStmt' in node) return { kind: 'deallocate', name: node.DeallocateStmt.name ?? null };
  if ('PrepareStmt' in node) return { kind: 'sqlPrepare', name: node.PrepareStmt.name ?? '' };
  if ('ExecuteStmt' in node) return { kind: 'sqlExecute', name: node.ExecuteStmt.name ?? '' };
  if ('DeclareCursorStmt' in node) {
    return { kind: 'cursor', verb: 'declare', name: node.DeclareCursorStmt.portalname ?? '' };
  }
  if ('FetchStmt' in node) return { kind: 'cursor', verb: 'fetch', name: node.FetchStmt.portalname ?? '' };
  if ('ClosePortalStmt' in node)
    return { kind: 'cursor', verb: 'close', name: node.ClosePortalStmt.portalname ?? null };
  if ('CopyStmt' in node) {
    return { kind: 'copy', direction: node.CopyStmt.is_from === true ? 'in' : 'out', merge: 'concat' };
  }
  if ('ExplainStmt' in node) return { kind: 'explain', analyze: isAnalyze(node.ExplainStmt) };
  if ('LockStmt' in node) return { kind: 'lock' };
  if ('ListenStmt' in node) return { kind: 'notification', verb: 'listen' };
  if ('NotifyStmt' in node) return { kind: 'notification', verb: 'notify' };
  if ('UnlistenStmt' in node) return { kind: 'notification', verb: 'unlisten' };
  if ('DoStmt' in node || 'CallStmt' in node) return { kind: 'procedure' };
  if ('TruncateStmt' in node || 'MergeStmt' in node) return { kind: 'query', merge: 'first' };
  return runsOutsideTransaction(node) ? { kind: 'ddlOutsideTransaction' } : { kind: 'ddl' };
}

/** WITH HOLD outlives its transaction (CURSOR_OPT_HOLD of parsenodes.h). */
export function isHeldCursor(statement: DeclareCursorStmt): boolean {
  return ((statement.options ?? 0) & 0x20) !== 0;
}

function transactionAction(statement: TransactionStmt): StatementAction {
  const name = statement.savepoint_name ?? '';
  const gid = statement.gid ?? '';
  const chain = statement.chain === true;
  switch (statement.kind) {
    case 'TRANS_STMT_COMMIT':
      return { kind: 'commit', chain };
    case 'TRANS_STMT_ROLLBACK':
      return { kind: 'rollback', chain };
    case 'TRANS_STMT_SAVEPOINT':
      return { kind: 'savepoint', name };
    case 'TRANS_STMT_RELEASE':
      return { kind: 'release', name };
    case 'TRANS_STMT_ROLLBACK_TO':
      return { kind: 'rollbackTo', name };
    case 'TRANS_STMT_PREPARE':
      return { kind: 'preparedTransaction', verb: 'prepare', gid };
    case 'TRANS_STMT_COMMIT_PREPARED':
      return { kind: 'preparedTransaction', verb: 'commit', gid };
    case 'TRANS_STMT_ROLLBACK_PREPARED':
      return { kind: 'preparedTransaction', verb: 'rollback', gid };
    default:
      return { kind: 'begin', modes: modesOf(statement.options) };
  }
}

function discardAction(target: string | undefined): StatementAction {
  if (target === 'DISCARD_PLANS') return { kind: 'discard', what: 'plans' };
  if (target === 'DISCARD_SEQUENCES') return { kind: 'discard', what: 'sequences' };
  return { kind: 'discard', what: target === 'DISCARD_TEMP' ? 'temp' : 'all' };
}

function isAnalyze(statement: ExplainStmt): boolean {
  return (statement.options ?? []).some((node) => {
    if (!('DefElem' in node) || node.DefElem.defname !== 'analyze') return false;
    const { arg } = node.DefElem;
    const text = arg !== undefined && 'String' in arg ? (arg.String.sval ?? '') : '';
    const number = arg !== undefined && 'Integer' in arg ? (arg.Integer.ival ?? 0) : 1;
    return number !== 0 && !['off', 'false', '0', 'no'].includes(text.toLowerCase());
  });
}

const OUTSIDE = new Set([
  'AlterDatabaseRefreshCollStmt',
  'AlterSystemStmt',
  'CreateSubscriptionStmt',
  'CreateTableSpaceStmt',
  'CreatedbStmt',
  'DropSubscriptionStmt',
  'DropTableSpaceStmt',
  'DropdbStmt',
]);

/** What PostgreSQL itself refuses inside a transaction block. */
function runsOutsideTransaction(node: Node): boolean {
  const kind = Object.keys(node)[0] ?? '';
  if (OUTSIDE.has(kind)) return true;
  if ('VacuumStmt' in node) return node.VacuumStmt.is_vacuumcmd === true;
  if ('IndexStmt' in node) return node.IndexStmt.concurrent === true;
  if ('DropStmt' in node) return node.DropStmt.concurrent === true;
  if ('ClusterStmt' in node) return node.ClusterStmt.relation === undefined;
  if ('AlterDatabaseStmt' in node) return JSON.stringify(node).includes('"tablespace"');
  if ('ReindexStmt' in node) {
    const whole = /SCHEMA|SYSTEM|DATABASE/.test(String(node.ReindexStmt.kind));
    return whole || JSON.stringify(node.ReindexStmt.params ?? []).includes('"concurrently"');
  }
  if ('AlterTableStmt' in node) return JSON.stringify(node).includes('"concurrent":true');
  return false;
}
