// What a verdict means for one participant in one state; 42704 has become a state by then, so "gone" is never "done" by itself.
import type { AlarmKind } from './alarm.ts';
import type { ParticipantState } from './evidence.ts';

/**
 * resolve: send COMMIT PREPARED or ROLLBACK PREPARED · done: nothing is left to do · retry: look again later · terminate:
 * end the backend, then look again · keep: it can never be done; the record stays and the alarm with it ·
 * done-if-acknowledged: done when this process itself read the tag, else keep.
 */
export type ActionKind = 'resolve' | 'done' | 'retry' | 'terminate' | 'keep' | 'done-if-acknowledged';

export interface Action {
  readonly kind: ActionKind;
  readonly alarm?: AlarmKind;
}

export const APPLY_TABLE: Readonly<Record<'commit' | 'abort', Readonly<Record<ParticipantState, Action>>>> = {
  commit: {
    P: { kind: 'resolve' },
    B: { kind: 'retry' },
    C: { kind: 'done' },
    A: { kind: 'keep', alarm: 'HeuristicRollback' },
    I: { kind: 'retry', alarm: 'StillInProgress' },
    F: { kind: 'keep', alarm: 'ParticipantLost' },
    N: { kind: 'done-if-acknowledged', alarm: 'Unverified' },
    U: { kind: 'retry' },
  },
  abort: {
    P: { kind: 'resolve' },
    B: { kind: 'retry' },
    C: { kind: 'keep', alarm: 'HeuristicCommit' },
    A: { kind: 'done' },
    I: { kind: 'terminate' },
    F: { kind: 'done' },
    N: { kind: 'done' },
    U: { kind: 'retry' },
  },
};

/** What is left to do for a participant, with the alarm that goes with it; done-if-acknowledged is settled here. */
export function actionFor(
  verdict: 'commit' | 'abort',
  participant: { readonly state: ParticipantState; readonly acknowledged: boolean },
): Action & { readonly kind: Exclude<ActionKind, 'done-if-acknowledged'> } {
  const action = APPLY_TABLE[verdict][participant.state];
  if (action.kind !== 'done-if-acknowledged') return { ...action, kind: action.kind };
  return participant.acknowledged ? { kind: 'done' } : { ...action, kind: 'keep' };
}
