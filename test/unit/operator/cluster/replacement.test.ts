// Who may be disturbed by a new pod: a gate holds up every restart but that of a pod that is broken by everybody's word.
import { describe, expect, it } from 'vitest';
import { NO_FINDINGS } from '../../../../src/operator/cluster/no-recovery.ts';
import type { ShardObservation } from '../../../../src/operator/cluster/observation.ts';
import { nextReplacement } from '../../../../src/operator/cluster/replacement.ts';
import { failed, SHARD_FACTS, seen, seenCluster, shardSeen } from './seen-cluster.ts';

const silent = failed('unreachable', 'shard-0: no connection', 60_000);
const pod = (ready: 'True' | 'False') => ({
  metadata: { name: 'bank-shard-0-0', namespace: 'test', uid: 'pod-1' },
  status: { conditions: [{ type: 'Ready', status: ready }] },
});

/** shard-0 waits for a restart and holds transactions in doubt. */
function replaced(shard: Partial<ShardObservation>): string | undefined {
  const { observation } = seenCluster({ observation: { shards: [shardSeen(0, shard), shardSeen(1)] } });
  const gate = { reason: 'InDoubt', message: '2 in doubt', inDoubt: 2, opensAtMs: null, ignored: false };
  const findings = { ...NO_FINDINGS, gates: { ...NO_FINDINGS.gates, restart: new Map([['shard-0', gate]]) } };
  const { action } = nextReplacement(observation, findings, new Map([['shard-0', 'max_connections']]));
  return action?.kind;
}

describe('a shard with transactions in doubt that needs a restart', () => {
  it('is replaced when neither we nor the kubelet reach it: it serves nobody', () => {
    expect(replaced({ look: silent, pod: pod('False') })).toBe('replacePod');
  });

  it('is left alone when only we do not reach it, or only the kubelet: it may serve others', () => {
    expect(replaced({ look: silent, pod: pod('True') })).toBeUndefined();
    expect(replaced({ look: seen(SHARD_FACTS), pod: pod('False') })).toBeUndefined();
  });

  it('is left alone while it recovers from a crash, which a new pod would begin again', () => {
    expect(
      replaced({ look: failed('starting', 'the database system is starting up', 60_000), pod: pod('False') }),
    ).toBe(undefined);
  });
});

describe('the next shard is restarted', () => {
  const restartsOf = (names: readonly string[], first: Partial<ShardObservation>) => {
    const { observation } = seenCluster({ observation: { shards: [shardSeen(0, first), shardSeen(1)] } });
    const { action, waiting } = nextReplacement(
      observation,
      NO_FINDINGS,
      new Map(names.map((name) => [name, 'max_connections'])),
    );
    return { of: action?.kind === 'replacePod' ? action.of : undefined, reasons: waiting.map(({ reason }) => reason) };
  };

  it('when the kubelet too calls the one before ready, not when that answers us', () => {
    expect(restartsOf(['shard-1'], { pod: pod('False') })).toEqual({ of: undefined, reasons: ['WaitingForOthers'] });
    expect(restartsOf(['shard-1'], { pod: pod('True') })).toEqual({ of: 'shard-1', reasons: ['Restarting'] });
  });

  it('although one is not ready that waits for a new pod itself, or neither would ever come', () => {
    expect(restartsOf(['shard-0', 'shard-1'], { pod: pod('False') }).of).toBe('shard-0');
  });
});
