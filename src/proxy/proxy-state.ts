// What a proxy says it is: one word for the operator, and the reasons why it is not ready. Pure.
//
//   Recovering ──first pass over──▶ Active ◀──▶ InDoubt        DRAIN ▶ Draining ──nothing left──▶ Clean   RESUME ▶ back
import type { Gate } from './listener.ts';

export const PROXY_STATES = ['Active', 'Draining', 'Recovering', 'InDoubt', 'Clean'] as const;
export type ProxyState = (typeof PROXY_STATES)[number];

export interface StateFacts {
  readonly gate: Gate;
  /** Transactions of ours that are unfinished and no client waits for. */
  readonly inDoubt: number;
  /** Drained, and a pass since then found nothing of ours on any shard. */
  readonly clean: boolean;
  readonly logFailed: boolean;
  /** Why statements are refused on shards whose record of the list of shards is not ours; undefined as a rule. */
  readonly placementFault?: string | undefined;
}

export function stateOf({ gate, inDoubt, clean }: StateFacts): ProxyState {
  if (gate === 'recovering') return 'Recovering';
  if (gate === 'open') return inDoubt > 0 ? 'InDoubt' : 'Active';
  return clean ? 'Clean' : 'Draining';
}

const GATE_REASON: Readonly<Record<Gate, string | undefined>> = {
  recovering: 'recovering: the first recovery pass is not over',
  open: undefined,
  draining: 'draining',
  stopping: 'stopping',
};

/** Why clients are better sent elsewhere; empty when they are not. */
export function notReadyReasons({ gate, logFailed, placementFault }: StateFacts): string[] {
  const reasons = logFailed ? ['the write-ahead log has failed'] : [];
  if (placementFault !== undefined) reasons.push(placementFault);
  const closed = GATE_REASON[gate];
  return closed === undefined ? reasons : [...reasons, closed];
}

export interface InDoubtFacts {
  /** Found prepared and left so by the last pass. */
  readonly leftByPass: number;
  /** `<epoch>.<seq>` of decisions without their end. */
  readonly live: ReadonlySet<string>;
  /** What commits have handed to recovery. */
  readonly handedOver: ReadonlySet<string>;
  /** What the coordinator drives, handed over or not. */
  readonly driven: ReadonlySet<string>;
}

/** How many transactions are unfinished without a client that waits for them; never 0 while there is one. */
export function countInDoubt({ leftByPass, live, handedOver, driven }: InDoubtFacts): number {
  const waitedFor = driven.difference(handedOver);
  return Math.max(leftByPass, live.union(handedOver).difference(waitedFor).size);
}
