// Every scenario, in the order in which a run without a seed's shuffling would take them.
import { CHANGE_SCENARIOS } from './changes.ts';
import { LOG_SCENARIOS } from './logs.ts';
import { NODE_SCENARIOS } from './nodes.ts';
import { OPERATOR_SCENARIOS } from './operator.ts';
import { PROXY_SCENARIOS } from './proxies.ts';
import type { Scenario } from './scenario.ts';
import { SHARD_SCENARIOS } from './shards.ts';

export const SCENARIOS: readonly Scenario[] = [
  ...PROXY_SCENARIOS,
  ...SHARD_SCENARIOS,
  ...OPERATOR_SCENARIOS,
  ...CHANGE_SCENARIOS,
  ...LOG_SCENARIOS,
  ...NODE_SCENARIOS,
];
