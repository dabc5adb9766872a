// What a proxy that is there holds for a person, asked of its admin database: the operator does not judge behind its back.
import type { Clock } from '../../kernel/clock.ts';
import type { SqlTarget } from '../sql/facts.ts';
import { rowsByName, SqlSession } from '../sql/sql-session.ts';
import type { HeldFinding } from './types.ts';

export type AskHeld = (target: SqlTarget) => Promise<readonly HeldFinding[] | null>;

/** SHOW HELD; null when the proxy does not answer. */
export function askHeld(clock: Clock): AskHeld {
  return async (target) => {
    const session = new SqlSession(target, clock);
    try {
      const reply = await session.run('SHOW HELD');
      if (reply.kind === 'failed') return null;
      return rowsByName(reply.value).map((row) => ({
        transaction: row.get('transaction') ?? '',
        reason: row.get('reason') ?? '',
        askHuman: row.get('ask_human') === 't' || row.get('ask_human') === 'true',
        participants: participantsOf(row.get('participants') ?? ''),
      }));
    } finally {
      session.close();
    }
  };
}

/** `shard-0=P,shard-1=U` */
function participantsOf(text: string): HeldFinding['participants'] {
  return text
    .split(',')
    .filter((one) => one !== '')
    .map((one) => {
      const [shard = '', state = ''] = one.split('=');
      return { shard, state };
    });
}
