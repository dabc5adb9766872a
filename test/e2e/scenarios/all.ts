// Every scenario, in the order in which a run without a seed's shuffling would take them.

import { OPERATOR_SCENARIOS } from './operator.ts';
import { PROXY_SCENARIOS } from './proxies.ts';
import type { Scenario } from './scenario.ts';
import { SHARD_SCENARIOS } from './shards.ts';

export const SCENARIOS: readonly Scenario[] = [...PROXY_SCENARIOS, ...SHARD_SCENARIOS, ...OPERATOR_SCENARIOS];
