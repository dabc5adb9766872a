// SET, RESET, DISCARD and DEALLOCATE: they change the session, not a shard, so the session keeps them and puts them in
// force wherever its next statement runs.
import { commandComplete, parameterStatus, warning } from '../protocol/server-message.ts';
import { SQLSTATE, type SqlError, sqlError } from '../protocol/sql-error.ts';
import type { StatementAction } from '../routing/plan.ts';
import { isBranch } from './client-transaction.ts';
import { leaseConnection, noSuchShard, returnConnection } from './lease.ts';
import { DONE, type Ran, ranInto, type SessionState } from './session-state.ts';
import { type Settings, setStatement, settingsDifference, withoutSetting, withSetting } from './settings.ts';
import { toAllBranches } from './transaction-control.ts';

type SessionCommand = Extract<
  StatementAction,
  {
    kind:
      | 'set'
      | 'resetAll'
      | 'setTransaction'
      | 'setSessionCharacteristics'
      | 'setConstraints'
      | 'discard'
      | 'deallocate';
  }
>;

/** Runs one of the session's own commands and writes its tag. */
export async function executeSessionCommand(session: SessionState, action: SessionCommand, text: string): Promise<Ran> {
  switch (action.kind) {
    case 'set':
      return answered(
        session,
        await setOne(session, action, text),
        action.value === null && /^reset/i.test(text.trimStart()) ? 'RESET' : 'SET',
      );
    case 'resetAll':
      session.forcedShard = undefined;
      return answered(session, await change(session, () => session.startupSettings), 'RESET');
    case 'setTransaction':
    case 'setConstraints':
      return answered(
        session,
        await inTransaction(session, text),
        action.kind === 'setTransaction' ? 'SET' : 'SET CONSTRAINTS',
      );
    case 'setSessionCharacteristics':
      return answered(session, await setCharacteristics(session, action.modes), 'SET');
    case 'discard':
      return discard(session, action.what);
    case 'deallocate':
      return deallocate(session, action.name);
  }
}

function answered(session: SessionState, ran: Ran, tag: string): Ran {
  if (ran.kind === 'done') session.writer.write(commandComplete(tag));
  return ran;
}

async function setOne(
  session: SessionState,
  action: Extract<StatementAction, { kind: 'set' }>,
  text: string,
): Promise<Ran> {
  const { name, value, local } = action;
  if (name.startsWith('atomshard.')) return setOwn(session, name, value, local);
  if (name === 'application_name') {
    // The shards' application_name names this proxy and its epoch, by which recovery finds backends to fence.
    session.applicationName = value ?? '';
    report(session, 'application_name', session.applicationName);
    return DONE;
  }
  const refusal = refuseSetting(session.services.searchPath, name, value);
  if (refusal !== undefined) return ranInto(refusal);
  if (local) return inTransaction(session, text);
  return change(session, (before) =>
    value === null ? resetOne(session, before, name) : withSetting(before, name, action.sql),
  );
}

/** RESET goes back to what the client asked for at startup. */
function resetOne(session: SessionState, before: Settings, name: string): Settings {
  const atStartup = session.startupSettings.statements.get(name);
  return atStartup === undefined ? withoutSetting(before, name) : withSetting(before, name, atStartup);
}

/** Settings that the proxy could not honour without answering something wrong. */
export function refuseSetting(searchPath: readonly string[], name: string, value: string | null): SqlError | undefined {
  if (name === 'search_path' && value !== null) {
    const wanted = value.split(',').map((part) => part.trim().replaceAll(/^"|"$/g, ''));
    const named = wanted.filter((schema) => schema !== '$user' && schema !== 'pg_catalog');
    if (named.join() === searchPath.join()) return undefined;
    return sqlError(SQLSTATE.featureNotSupported, `search_path ${value} is not the one that routing knows`, {
      hint: `Write schema.table, or set sharding.searchPath (now: ${searchPath.join(', ')}).`,
    });
  }
  if (name === 'client_encoding' && value !== null && !isUtf8(value)) {
    return sqlError(SQLSTATE.featureNotSupported, `client_encoding ${value} is not supported`, { hint: 'Use UTF8.' });
  }
  if (name === 'standard_conforming_strings' && value !== null && /^(off|false|no|0|f)$/i.test(value)) {
    return sqlError(SQLSTATE.featureNotSupported, 'standard_conforming_strings must stay on', {
      hint: "Write strings with backslashes as E'…'.",
    });
  }
  return undefined;
}

/** As PostgreSQL reads names of encodings: letters and digits count. asyncpg writes 'utf-8', with the quotes. */
function isUtf8(encoding: string): boolean {
  return /^(utf8|unicode)$/i.test(encoding.replaceAll(/[^a-z0-9]/gi, ''));
}

function setOwn(session: SessionState, name: string, value: string | null, local: boolean): Ran {
  if (name !== 'atomshard.shard' || local) {
    return ranInto(
      sqlError(SQLSTATE.featureNotSupported, `SET ${local ? 'LOCAL ' : ''}${name} is not supported yet`, {
        hint: 'SET atomshard.shard = …, or the comment /* atomshard: shard=… */ or /* atomshard: key=… */ before the statement.',
      }),
    );
  }
  if (value === null || value === '') {
    session.forcedShard = undefined;
    return DONE;
  }
  const named = session.services.shardNames.indexOf(value);
  const shard = named >= 0 ? named : /^\d+$/.test(value) ? Number(value) : -1;
  if (shard < 0 || shard >= session.pools.length) {
    return ranInto({ ...noSuchShard(shard, session.pools.length), message: `there is no shard ${value}` });
  }
  session.forcedShard = shard;
  return DONE;
}

/** Puts changed settings in force: in a transaction on all of its shards, else on any shard, which judges the values. */
async function change(session: SessionState, after: (before: Settings) => Settings): Promise<Ran> {
  const { transaction } = session;
  if (transaction !== undefined) {
    const now = transaction.journal.settingsAfterCommit(session.settings);
    for (const sql of settingsDifference(now, after(now))) {
      const ran = await inTransaction(session, sql, after);
      if (ran.kind !== 'done') return ran;
    }
    return DONE;
  }
  const before = session.settings;
  session.settings = after(before);
  const shard = session.anyShard();
  const lease = await leaseConnection(session, shard);
  if (lease.kind === 'refused') {
    session.settings = before;
    return ranInto(lease.error);
  }
  reportAll(session, lease.connection.parameters);
  returnConnection(session, lease.connection);
  return DONE;
}

/** Commands that belong to the running transaction: sent to every participant, replayed for late ones. */
async function inTransaction(session: SessionState, sql: string, after?: (before: Settings) => Settings): Promise<Ran> {
  const { transaction } = session;
  if (transaction === undefined) {
    session.writer.write(warning('this command can only be used in transaction blocks', SQLSTATE.noActiveTransaction));
    return DONE;
  }
  if (transaction.branches.size === 0) {
    // Somebody must judge the value before the client is told that it was accepted.
    const branch = await transaction.join(session.anyShard());
    if (!isBranch(branch)) return ranInto(branch);
  }
  const ran = await toAllBranches(transaction, sql);
  if (ran.kind !== 'done') return ran;
  transaction.journal.set(sql, after);
  const first = transaction.branches.values().next().value;
  if (first !== undefined) reportAll(session, first.connection.parameters);
  return DONE;
}

async function setCharacteristics(session: SessionState, modes: string): Promise<Ran> {
  const level = /isolation\s+level\s+(serializable|repeatable\s+read|read\s+committed|read\s+uncommitted)/i.exec(
    modes,
  )?.[1];
  const access = /read\s+(only|write)\b/i.exec(modes)?.[1]?.toLowerCase();
  const deferrable = /(not\s+)?deferrable/i.exec(modes);
  return change(session, (before) => {
    let settings = before;
    const put = (name: string, value: string) => {
      settings = withSetting(settings, name, setStatement(name, value));
    };
    if (level !== undefined) put('default_transaction_isolation', level.toLowerCase().replaceAll(/\s+/g, ' '));
    if (access !== undefined) put('default_transaction_read_only', access === 'only' ? 'on' : 'off');
    if (deferrable !== null) put('default_transaction_deferrable', deferrable[1] === undefined ? 'on' : 'off');
    return settings;
  });
}

async function discard(session: SessionState, what: 'all' | 'plans' | 'temp' | 'sequences'): Promise<Ran> {
  const tag = `DISCARD ${what.toUpperCase()}`;
  if (what === 'all') {
    if (session.transaction !== undefined) {
      return ranInto(sqlError(SQLSTATE.activeTransaction, 'DISCARD ALL cannot run inside a transaction block'));
    }
    session.statements.clear();
    session.settings = session.startupSettings;
    session.forcedShard = undefined;
  }
  return answered(session, DONE, tag);
}

function deallocate(session: SessionState, name: string | null): Ran {
  if (name === null) {
    session.statements.clear();
    return answered(session, DONE, 'DEALLOCATE ALL');
  }
  if (!session.statements.delete(name)) {
    return ranInto(sqlError(SQLSTATE.invalidStatementName, `prepared statement "${name}" does not exist`));
  }
  return answered(session, DONE, 'DEALLOCATE');
}

/** Tells the client of reported settings that changed, as PostgreSQL does. */
export function reportAll(session: SessionState, parameters: ReadonlyMap<string, string>): void {
  for (const [name, value] of parameters) {
    if (name !== 'application_name') report(session, name, value);
  }
}

function report(session: SessionState, name: string, value: string): void {
  if (session.reported.get(name) === value) return;
  session.reported.set(name, value);
  session.writer.write(parameterStatus(name, value));
}
