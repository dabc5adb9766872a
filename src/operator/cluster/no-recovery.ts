// Findings of recovery before the cluster has an id: nothing of it can be prepared anywhere yet.
import type { RecoveryFindings } from '../recovery/types.ts';

export const NO_FINDINGS: RecoveryFindings = {
  instances: [],
  conditions: [],
  inDoubt: { count: 0, oldestMs: null },
  foreign: { count: 0, oldestMs: null },
  held: [],
  lastRecovery: null,
  occurrences: [],
  gates: { restart: new Map(), removal: new Map(), deletion: null, maxPreparedFloor: new Map() },
  nextStepInMs: null,
};
