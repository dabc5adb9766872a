// Evidence in one line: `evidence('lost', 'P C! U')` is a transaction with three participants in those states.
import {
  type LogEvidence,
  type Owner,
  PARTICIPANT_STATES,
  type ParticipantEvidence,
  type TransactionEvidence,
} from '../../../src/recovery/evidence.ts';

interface Rest {
  readonly owner?: Owner;
  readonly complete?: boolean;
  readonly earlyAcknowledged?: boolean;
}

/** States separated by blanks; `!` behind a C makes it proven. */
export function evidence(log: LogEvidence, states: string, rest: Rest = {}): TransactionEvidence {
  const { owner = 'self-idle', complete = true, earlyAcknowledged = false } = rest;
  const participants = states.split(' ').flatMap((text, index) => participant(text, index));
  const transaction = { cluster: 'k3x9q', instance: 'proxy-0', epoch: 1789, seq: 42 };
  return { transaction, log, owner, participants, complete, earlyAcknowledged };
}

function participant(text: string, index: number): ParticipantEvidence[] {
  const state = PARTICIPANT_STATES.find((letter) => letter === text[0]);
  if (state === undefined) return [];
  return [{ shard: `shard-${index}`, xid: String(700 + index), state, proven: text === 'C!', acknowledged: false }];
}
