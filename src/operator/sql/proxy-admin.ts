// The operator's side of a proxy's admin database: it asks for the one row of SHOW STATUS and gives five commands.
// The rule: a row that does not have what the contract says is a failure, not a proxy with zeros.
import type { Asked, ProxyFacts, ProxyState } from './facts.ts';
import { rowsByName, type SqlResult, type SqlSession } from './sql-session.ts';

export type ProxyCommand = 'RELOAD' | 'DRAIN' | 'RESUME' | 'RECOVER';

const STATES: readonly string[] = ['Active', 'Draining', 'Recovering', 'InDoubt', 'Clean'] satisfies ProxyState[];

/** Asks a proxy how it is. */
export async function askProxy(session: SqlSession): Promise<Asked<ProxyFacts>> {
  const reply = await session.run('SHOW STATUS');
  if (reply.kind === 'failed') return reply;
  const facts = readProxyFacts(reply.value);
  if (typeof facts !== 'string') return { kind: 'answer', value: facts };
  const message = `${session.target.name}: the answer to SHOW STATUS is not understood: ${facts}`;
  return { kind: 'failed', failure: { kind: 'refused', message } };
}

/** Gives a command; each is the same when given twice. RECOVER answers when the pass is over or the deadline comes. */
export async function commandProxy(session: SqlSession, command: ProxyCommand): Promise<Asked<SqlResult>> {
  return session.run(command);
}

class Misunderstood extends Error {
  override readonly name = 'Misunderstood';
}

/** The facts of the one row, or what is wrong with it. */
export function readProxyFacts(result: SqlResult): ProxyFacts | string {
  const row = rowsByName(result)[0];
  if (row === undefined || result.rows.length > 1) return `${result.rows.length} rows`;
  try {
    return factsOf(row);
  } catch (error) {
    if (error instanceof Misunderstood) return error.message;
    throw error;
  }
}

function factsOf(row: ReadonlyMap<string, string | null>): ProxyFacts {
  const textOrNull = (column: string): string | null => {
    const value = row.get(column);
    if (value === undefined) throw new Misunderstood(`no column ${column}`);
    return value === '' ? null : value;
  };
  const text = (column: string): string => textOrNull(column) ?? '';
  const numberOrNull = (column: string): number | null => {
    const value = textOrNull(column);
    if (value === null) return null;
    if (!/^-?\d+(\.\d+)?$/.test(value)) throw new Misunderstood(`${column} is not a number: ${value}`);
    return Number(value);
  };
  const number = (column: string): number => numberOrNull(column) ?? 0;
  const state = text('state');
  if (!isState(state)) throw new Misunderstood(`no state is called ${state}`);
  const appended = numberOrNull('appended');
  const at = textOrNull('last_recovery_at');
  const atMs = at === null ? null : timeOf(at);
  return {
    instance: text('instance'),
    state,
    ready: ['t', 'true', 'on'].includes(text('ready')),
    notReadyReason: textOrNull('not_ready_reason'),
    version: text('version'),
    configSha256: text('config_sha256'),
    configError: textOrNull('config_error'),
    restartNeeded: list(text('restart_needed')),
    walId: textOrNull('wal_id'),
    epoch: numberOrNull('epoch'),
    positions:
      appended === null
        ? null
        : {
            oldest: number('oldest'),
            applied: number('applied'),
            committed: number('committed'),
            durable: number('durable'),
            appended,
          },
    walSegments: number('wal_segments'),
    walBytes: number('wal_bytes'),
    walFreeBytes: numberOrNull('wal_free_bytes'),
    inDoubt: number('in_doubt'),
    held: number('held'),
    clients: number('clients'),
    running: number('running'),
    lastRecovery:
      atMs === null
        ? null
        : {
            atMs,
            committed: number('last_recovery_committed'),
            committedIds: list(row.get('last_recovery_committed_ids')),
            rolledBack: number('last_recovery_rolled_back'),
            rolledBackIds: list(row.get('last_recovery_rolled_back_ids')),
            held: number('last_recovery_held'),
          },
  };
}

/** Separated by commas; none where there is no such column. */
function list(value: string | null | undefined): string[] {
  return (value ?? '')
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '');
}

function isState(text: string): text is ProxyState {
  return STATES.includes(text);
}

/** PostgreSQL's `2026-11-21 14:02:03.456+00` and ISO 8601 alike. */
function timeOf(text: string): number {
  const ms = Date.parse(text.replace(' ', 'T').replace(/([+-]\d\d)$/, '$1:00'));
  if (Number.isNaN(ms)) throw new Misunderstood(`last_recovery_at is not a time: ${text}`);
  return ms;
}
