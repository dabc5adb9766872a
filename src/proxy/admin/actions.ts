// What each command of the admin database does, over the parts of a running proxy.
import { SQLSTATE, sqlError } from '../../protocol/sql-error.ts';
import { endSession } from '../end-session.ts';
import type { Reload } from '../reload.ts';
import { type CommandActions, refused } from './admin-desk.ts';
import type { AdminAnswer, AdminRow } from './answer.ts';
import { configRows } from './config-rows.ts';
import { decisionRows, heldRows, preparedRows, reportRow } from './recovery-rows.ts';
import { routeRows } from './route-rows.ts';
import { type Inspected, statusRow } from './status-row.ts';
import { clientRows, poolRows, serverRows, shardRows, transactionRows, walRows } from './traffic-rows.ts';

export interface Actors extends Inspected {
  readonly reload: Reload;
  /** Every metric with its labels and value. */
  readonly metricRows: () => Promise<AdminRow[]>;
}

/** The functions behind the commands; each reads the parts when it is called. */
export function commandActions(actors: Actors): CommandActions {
  const { parts, listener, drain, version } = actors;
  const { keys } = listener;
  return {
    'SHOW STATUS': async () => [await statusRow(actors)],
    'SHOW WAL': () => walRows(parts),
    'SHOW TRANSACTIONS': () => transactionRows(keys),
    'SHOW DECISIONS': () => decisionRows(parts),
    'SHOW PREPARED': () => preparedRows(parts),
    'SHOW POOLS': () => poolRows(parts),
    'SHOW SERVERS': () => serverRows(keys),
    'SHOW SHARDS': () => shardRows(parts),
    'SHOW CLIENTS': () => clientRows(keys),
    'SHOW RECOVERY': () => {
      const { lastPass } = parts.counters;
      return lastPass === undefined ? [] : [reportRow(lastPass.report, lastPass.atMs)];
    },
    'SHOW HELD': () => heldRows(parts.counters.lastPass?.report),
    'SHOW STATS': () => actors.metricRows(),
    'SHOW CONFIG': () => configRows(parts.live.current),
    'SHOW VERSION': () => [[version]],
    'SHOW ROUTE': (statement) => routeRows(parts.services, statement),
    RELOAD: () => (listener.gate === 'recovering' ? notYet : reload(actors)),
    DRAIN: () => {
      if (listener.gate === 'recovering') return notYet;
      drain.begin();
      return { kind: 'done', tag: 'DRAIN' };
    },
    RESUME: () => {
      if (listener.gate === 'stopping') return refused('adminShutdown', 'the proxy is stopping');
      drain.resume();
      return { kind: 'done', tag: 'RESUME' };
    },
    RECOVER: async () => {
      const report = await parts.recovery.pass();
      return [reportRow(report, parts.clock.nowMs())];
    },
    KILL: (client) => {
      const known = keys.clients().get(Number(client));
      if (known === undefined) return refused('undefinedObject', `there is no client ${client}`, 'See SHOW CLIENTS.');
      known.session.cancel();
      endSession(known.session, killed);
      return { kind: 'done', tag: 'KILL' };
    },
  };
}

const notYet = refused('cannotConnectNow', 'the first recovery pass is not over', 'Try again in a moment.');

const killed = sqlError(SQLSTATE.adminShutdown, 'terminating connection due to administrator command', {
  severity: 'FATAL',
});

async function reload({ reload: reloading }: Actors): Promise<AdminAnswer> {
  const outcome = await reloading.run();
  if (outcome.kind === 'refused') {
    return refused('configFileError', outcome.error, 'The running configuration stays in force.');
  }
  const { restartNeeded } = outcome;
  if (restartNeeded.length === 0) return { kind: 'done', tag: 'RELOAD' };
  const message = `waits for a restart: ${restartNeeded.join(', ')}`;
  return { kind: 'done', tag: 'RELOAD', notices: [{ severity: 'WARNING', code: SQLSTATE.warning, message }] };
}
