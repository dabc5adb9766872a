// What the admin database shows of clients, their transactions and the connections to the shards.
import type { ClientSession } from '../../session/client-session.ts';
import type { ClientKeys } from '../client-keys.ts';
import type { ProxyParts } from '../parts.ts';
import type { AdminRow } from './answer.ts';

function shardsOf(session: ClientSession): string | null {
  const { transaction } = session.state;
  if (transaction === undefined) return null;
  return transaction
    .backends()
    .map(({ shard }) => shard)
    .join(',');
}

function stateOfClient(session: ClientSession): string {
  const { state } = session;
  if (state.committing) return 'committing';
  if (session.active) return 'active';
  return state.transaction === undefined ? 'idle' : 'idle in transaction';
}

export function clientRows(keys: ClientKeys): AdminRow[] {
  return [...keys.clients()].map(([number, { session, address, connectedAtMs }]) => [
    number,
    session.state.user,
    session.state.applicationName,
    address,
    connectedAtMs,
    stateOfClient(session),
    shardsOf(session),
  ]);
}

export function transactionRows(keys: ClientKeys): AdminRow[] {
  return [...keys.clients()].flatMap(([number, { session }]): AdminRow[] => {
    const { transaction, committing, user } = session.state;
    if (transaction === undefined) return [];
    const branches = [...transaction.branches.values()];
    return [
      [
        number,
        user,
        committing ? 'committing' : transaction.state,
        shardsOf(session),
        branches.filter(({ writes }) => writes > 0).length,
        transaction.backends().some(({ busy }) => busy),
      ],
    ];
  });
}

export function serverRows(keys: ClientKeys): AdminRow[] {
  return [...keys.clients()].flatMap(([number, { session }]) =>
    [...session.state.working].map((connection): AdminRow => {
      const { shard, identity, pendingUnits } = connection;
      return [shard, identity.backendPid, pendingUnits > 0, number];
    }),
  );
}

export function poolRows({ backends }: ProxyParts): AdminRow[] {
  return [...backends.all()].map(({ user, kind, pool }) => {
    const stats = pool.stats();
    return [
      pool.target.shard,
      user,
      kind,
      stats.sizeMax,
      stats.idle,
      stats.leased,
      stats.opening,
      stats.waiting,
      stats.oldestWaitMs,
      stats.opened,
      stats.connectFailures,
      stats.waitTimeouts,
      stats.lastFailure ?? null,
    ];
  });
}

export function shardRows({ backends, live }: ProxyParts): AdminRow[] {
  const pools = [...backends.all()].map(({ pool }) => pool);
  return live.current.shards.map(({ name, host, port, database }, position) => {
    const own = pools.filter(({ target }) => target.shard === name).map((pool) => pool.stats());
    const failure = own.find(({ lastFailure }) => lastFailure !== undefined)?.lastFailure;
    const open = own.reduce((sum, { idle, leased }) => sum + idle + leased, 0);
    return [position, name, host, port, database, failure === undefined, failure ?? null, open];
  });
}

/** Segments of the log, oldest first. */
export function walRows({ decisions }: ProxyParts): AdminRow[] {
  const segments = decisions.segments();
  return segments.map(({ firstLsn, lastLsn, bytes }, at) => [firstLsn, lastLsn, bytes, at === segments.length - 1]);
}
