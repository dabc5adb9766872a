// The SQL that looks and tasks are made of, over real connections.
import type { Clock } from '../../kernel/clock.ts';
import type { SqlTarget } from '../sql/facts.ts';
import { askProxy, commandProxy } from '../sql/proxy-admin.ts';
import { reloadShard } from '../sql/reload.ts';
import { lookAtShard } from '../sql/shard-facts.ts';
import { setUpShard } from '../sql/shard-setup.ts';
import { SqlSession } from '../sql/sql-session.ts';
import type { ProberOptions } from './prober.ts';
import type { SqlPort } from './program-tasks.ts';

export function sqlPort(clock: Clock): SqlPort {
  return {
    setUpShard: (target, wanted) => setUpShard(target, wanted, clock),
    reloadShard: (target) => withSession(clock, target, reloadShard),
    commandProxy: (target, command) => withSession(clock, target, (session) => commandProxy(session, command)),
  };
}

/** Looks keep their connection, so that one costs a round trip. */
export function sqlEyes(clock: Clock): Pick<ProberOptions, 'openShard' | 'openProxy'> {
  return {
    openShard: (target, question) => {
      const session = new SqlSession(target, clock);
      return { look: () => lookAtShard(session, question), close: () => session.close() };
    },
    openProxy: (target) => {
      const session = new SqlSession(target, clock);
      return { look: () => askProxy(session), close: () => session.close() };
    },
  };
}

async function withSession<T>(clock: Clock, target: SqlTarget, run: (session: SqlSession) => Promise<T>): Promise<T> {
  const session = new SqlSession(target, clock);
  try {
    return await run(session);
  } finally {
    session.close();
  }
}
