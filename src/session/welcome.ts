// What a startup packet asks of the session: its settings, checked on a real shard before the client is told "ready".
import { parameterStatus } from '../protocol/server-message.ts';
import { SQLSTATE, type SqlError, sqlError } from '../protocol/sql-error.ts';
import { readStartupOptions, type StartupMessage } from '../protocol/startup.ts';
import type { Pool } from '../shard/pool.ts';
import { leaseConnection, returnConnection } from './lease.ts';
import { refuseSetting, reportAll } from './session-commands.ts';
import type { SessionState } from './session-state.ts';
import { NO_SETTINGS, type Settings, setStatement, withSetting } from './settings.ts';

/** Startup parameters that are not settings. */
const NOT_SETTINGS: ReadonlySet<string> = new Set([
  'user',
  'database',
  'options',
  'replication',
  'application_name',
  'client_encoding',
]);

export interface StartupWishes {
  readonly settings: Settings;
  readonly applicationName: string;
}

/** Reads the settings out of a startup packet; FATAL for what cannot be honoured. */
export function readStartupWishes(packet: StartupMessage, searchPath: readonly string[]): StartupWishes | SqlError {
  const { parameters } = packet;
  const replication = parameters.get('replication');
  if (replication !== undefined && !/^(false|off|no|0)$/i.test(replication)) {
    return fatal(
      SQLSTATE.featureNotSupported,
      'replication connections do not go through the proxy',
      'Connect to a shard.',
    );
  }
  const wanted: (readonly [string, string])[] = [...parameters].filter(([name]) => !NOT_SETTINGS.has(name));
  const options = readStartupOptions(parameters.get('options') ?? '');
  if (options.kind === 'fault') return options.error;
  wanted.push(...options.settings);
  const encoding = parameters.get('client_encoding');
  let settings = NO_SETTINGS;
  let applicationName = parameters.get('application_name') ?? '';
  for (const [name, value] of [
    ...wanted,
    ...(encoding === undefined ? [] : [['client_encoding', encoding] as const]),
  ]) {
    const refusal = refuseSetting(searchPath, name.toLowerCase(), value);
    if (refusal !== undefined) return { ...refusal, severity: 'FATAL' };
    if (name === 'application_name') applicationName = value;
    else if (name !== 'client_encoding') settings = withSetting(settings, name, setStatement(name, value));
  }
  return { settings, applicationName };
}

/** Combinations of startup settings whose parameters are remembered for each pool. */
const REMEMBERED_MAX = 100;

/**
 * What shards reported under startup settings. A client that only connects must not wait for a busy pool: some programs
 * (pgbench -C) hold transactions open while they connect, and would never end them.
 */
const memories = new WeakMap<Pool, Map<string, ReadonlyMap<string, string>>>();

function memoryOf(pool: Pool): Map<string, ReadonlyMap<string, string>> {
  let memory = memories.get(pool);
  if (memory === undefined) {
    memory = new Map();
    memories.set(pool, memory);
  }
  return memory;
}

function remember(pool: Pool, key: string, parameters: ReadonlyMap<string, string>): void {
  const memory = memoryOf(pool);
  if (memory.size >= REMEMBERED_MAX) memory.clear();
  memory.set(key, new Map(parameters));
}

/** Puts the settings on one shard and tells the client the parameters; tries the next shard when one is down. */
export async function welcome(session: SessionState): Promise<SqlError | undefined> {
  let error: SqlError | undefined;
  for (let attempt = 0; attempt < session.pools.length; attempt++) {
    const shard = session.anyShard();
    const pool = session.pools[shard];
    const remembered = pool === undefined ? undefined : memoryOf(pool).get(session.settings.key);
    if (remembered !== undefined && pool?.stats().idle === 0) {
      session.reported.set('application_name', session.applicationName);
      session.writer.write(parameterStatus('application_name', session.applicationName));
      reportAll(session, remembered);
      return undefined;
    }
    const lease = await leaseConnection(session, shard);
    if (lease.kind === 'leased') {
      session.reported.set('application_name', session.applicationName);
      session.writer.write(parameterStatus('application_name', session.applicationName));
      reportAll(session, lease.connection.parameters);
      if (pool !== undefined) remember(pool, session.settings.key, lease.connection.parameters);
      returnConnection(session, lease.connection);
      return undefined;
    }
    error = { ...lease.error, severity: 'FATAL' };
    if (!/^(08|53|57)/.test(error.code)) return error;
  }
  return error;
}

function fatal(code: string, message: string, hint: string): SqlError {
  return sqlError(code, message, { severity: 'FATAL', hint });
}
