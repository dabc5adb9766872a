// SELECT set_config(…) is a SET in the dress of a query: it runs on one shard, and then the session keeps what it set as
// if SET had been sent. Its value may be any expression, so it is read back; name and scope must be constants.
import type { FuncCall, Node } from 'libpg-query';
import { SQLSTATE, type SqlError, sqlError } from '../protocol/sql-error.ts';
import type { PlannedStatement } from '../routing/plan.ts';
import { factsOf } from '../sql/facts.ts';
import { parse } from '../sql/parser.ts';
import { constantText } from '../sql/set-statement.ts';
import { ClientTransaction } from './client-transaction.ts';
import type { Dispatch } from './dispatch.ts';
import { reportAll } from './session-commands.ts';
import { DONE, type Ran, ranInto, type SessionState } from './session-state.ts';
import { quoteLiteral, withSetting } from './settings.ts';
import { commandOn, runInside } from './statement-runner.ts';
import { commitTransaction, rollbackTransaction } from './transaction-end.ts';

interface SettingCall {
  readonly name: string;
  readonly local: boolean;
}

/** Settings that the session watches or that belong to the proxy: SET knows what to do with them, or refuses them. */
const ONLY_BY_SET =
  /^(search_path|client_encoding|standard_conforming_strings|application_name|transaction_\w+|atomshard\..*)$/;

/** What the statement sets, or why it may not. Parsed anew each time: these texts are rare. */
export function settingCalls(text: string): readonly SettingCall[] | SqlError {
  const outcome = parse(text);
  const node = outcome.kind === 'parsed' ? outcome.statements[0]?.node : undefined;
  const calls = node === undefined ? [] : factsOf(node).setConfigCalls.map(readCall);
  const read = calls.filter((call) => call !== undefined);
  if (read.length === 0 || read.length !== calls.length) return refused('its name and its scope must be constants');
  const own = read.find((call) => ONLY_BY_SET.test(call.name));
  return own === undefined ? read : refused(`${own.name} is changed by SET only`);
}

function readCall({ args = [] }: FuncCall): SettingCall | undefined {
  const [name, , local] = args.map((arg) => constantText(withoutCast(arg)));
  if (name === undefined || (local !== 'true' && local !== 'false')) return undefined;
  return { name: name.toLowerCase(), local: local === 'true' };
}

function withoutCast(node: Node): Node {
  return 'TypeCast' in node && node.TypeCast.arg !== undefined ? node.TypeCast.arg : node;
}

/** Runs the statement on its one shard, inside the session's transaction or one of its own. */
export async function runSetConfig(
  session: SessionState,
  statement: PlannedStatement,
  shards: readonly number[],
  dispatch: Dispatch,
): Promise<Ran> {
  const calls = settingCalls(statement.text);
  if (!Array.isArray(calls)) return ranInto(calls as SqlError);
  const [shard, second] = shards;
  if (shard === undefined || second !== undefined) return ranInto(refused('it runs on one shard'));
  const open = session.transaction;
  const transaction = open ?? new ClientTransaction(session, { hidden: true, modes: '' });
  session.transaction = transaction;
  let ran = await runInside(session, transaction, shard, dispatch, false);
  if (ran.kind === 'done') ran = await keepSetConfig(session, statement, shard);
  if (open !== undefined) return ran;
  if (ran.kind === 'done') return commitTransaction(session);
  await rollbackTransaction(session);
  return ran;
}

/** The statement ran on `shard`: what it set there now holds on the other shards of the transaction and in the session. */
export async function keepSetConfig(session: SessionState, statement: PlannedStatement, shard: number): Promise<Ran> {
  const calls = settingCalls(statement.text);
  const { transaction } = session;
  const branch = transaction?.branches.get(shard);
  if (!Array.isArray(calls) || transaction === undefined || branch === undefined) return DONE;
  const others = [...transaction.branches.values()].filter((each) => each !== branch);
  for (const { name, local } of calls as readonly SettingCall[]) {
    const reply = await branch.connection.command(`SELECT pg_catalog.current_setting(${quoteLiteral(name)}, true)`);
    const value = reply.kind === 'complete' ? reply.rows[0]?.[0] : undefined;
    if (typeof value !== 'string') return ranInto(refused(`what it set ${name} to cannot be read`));
    const sql = `SELECT pg_catalog.set_config(${quoteLiteral(name)}, ${quoteLiteral(value)}, ${local})`;
    const ran = await commandOn(transaction, others, sql);
    if (ran.kind !== 'done') return ran;
    transaction.journal.set(sql, local ? undefined : (before) => withSetting(before, name, sql));
  }
  reportAll(session, branch.connection.parameters);
  return DONE;
}

function refused(why: string): SqlError {
  return sqlError(SQLSTATE.featureNotSupported, `this set_config() is not supported through the proxy: ${why}`, {
    hint: 'Use SET or SET LOCAL, which reach every shard of the transaction.',
  });
}
