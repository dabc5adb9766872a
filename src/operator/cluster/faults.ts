// All that is wrong with a cluster, from its objects and from what its servers say: conditions and events tell the same list. Pure.
import { maxPreparedTransactions, preparedTransactionsNeeded } from '../desired/capacity.ts';
import { diagnose } from '../diagnosis/diagnose.ts';
import type { Afflicted, Problem, ProblemReason } from '../diagnosis/problem.ts';
import type { ShardFacts, SqlFailureKind } from '../sql/facts.ts';
import type { Look, Observation, ProxyObservation, ShardObservation } from './observation.ts';
import { isLeaving } from './wellness.ts';

/** A server that starts anew, or makes its data directory, is silent for a while; then its silence is a fault. */
const SILENCE_PATIENCE_MS = 30_000;
/** A Secret that is applied together with the cluster may come after it. */
const SECRETS_PATIENCE_MS = 10_000;
/** pg_xact_status before it could report a transaction as finished that was still committing. */
const SERVER_VERSION_MIN = 140_005;

/** The list, in an order that stays: what all share, then shards, then proxies. */
export function problemsOf(observation: Observation): Problem[] {
  const { children, secrets, nowMs, cluster, applyProblem } = observation;
  const { pods, claims, statefulSets, events } = children;
  // One of ours that is not there is made in this very round.
  const isNew = nowMs - Date.parse(cluster.metadata.creationTimestamp ?? '') < SECRETS_PATIENCE_MS;
  const missed = [...secrets.values()].filter(
    ({ origin, secret }) => secret !== undefined || (origin === 'user' && !isNew),
  );
  const findings = missed.map(({ finding }) => finding);
  const surroundings = diagnose({ pods, claims, statefulSets, events, secrets: findings, nowMs });
  const explained = new Set(surroundings.map(({ of }) => keyOf(of)));
  const stopped = cluster.spec.shutdown || cluster.metadata.deletionTimestamp !== undefined;
  const shards = observation.shards.filter(({ kind }) => kind !== 'retired');
  const said = [
    ...shards.flatMap((shard) => shardProblems(observation, shard)),
    ...observation.proxies.flatMap((proxy) => proxyProblems(observation, proxy)),
  ];
  // A pod that cannot start does not answer either: one cause is told once. What is meant to be gone is not missed.
  const unexplained = said.filter(({ of, reason }) => !(isSilence(reason) && (stopped || explained.has(keyOf(of)))));
  const refused = applyProblem === undefined ? [] : [objectProblem(applyProblem)];
  return [...refused, ...surroundings, ...unexplained];
}

const isSilence = (reason: ProblemReason) => reason === 'ShardNotAnswering' || reason === 'ProxyNotAnswering';
const keyOf = (of: Afflicted) => (of.kind === 'cluster' ? 'cluster' : `${of.kind}/${of.name}`);

function objectProblem({ object, message }: NonNullable<Observation['applyProblem']>): Problem {
  const [kind = '', name = ''] = object.split('/');
  return {
    of: { kind: 'cluster' },
    object: { kind, name },
    reason: 'ObjectRefused',
    message: `${object} cannot be written: ${message}`,
  };
}

/** Failures that time does not heal, at once; the others when they last. */
const FAILURE_REASONS: Readonly<Partial<Record<SqlFailureKind, readonly [ProblemReason, string]>>> = {
  authentication: ['LoginRefused', 'the password in the Secret is not the one that the server knows'],
  tls: ['TlsRefused', 'correct the certificates, or the TLS mode in the spec'],
  full: ['TooManyConnections', 'raise max_connections there, or lower spec.proxy.pool.size'],
};

/** `silent`: the reason for a server that does not answer at all. */
function failureProblem(
  look: Look<unknown>,
  of: Exclude<Afflicted, { kind: 'cluster' }>,
  object: Problem['object'],
  nowMs: number,
): Problem[] {
  if (look.kind !== 'failed') return [];
  const { kind, message } = look.failure;
  const known = FAILURE_REASONS[kind];
  if (known !== undefined) return [{ of, object, reason: known[0], message: `${message}; ${known[1]}` }];
  if (nowMs - (kind === 'missing-database' ? look.kindSinceMs : look.sinceMs) < SILENCE_PATIENCE_MS) return [];
  if (kind === 'missing-database') return [{ of, object, reason: 'DatabaseMissing', message }];
  return [{ of, object, reason: of.kind === 'shard' ? 'ShardNotAnswering' : 'ProxyNotAnswering', message }];
}

function shardProblems({ cluster, nowMs }: Observation, shard: ShardObservation): Problem[] {
  const { name, kind, pod, look, setup } = shard;
  if (pod !== undefined && isLeaving(pod)) return [];
  const of = { kind: 'shard', name } as const;
  const object =
    kind === 'external' ? { kind: 'ExternalShard', name } : { kind: 'Pod', name: pod?.metadata.name ?? '' };
  const tell = (reason: ProblemReason, message: string): Problem => ({ of, object, reason, message });
  const asked = kind === 'external' || pod !== undefined;
  const problems = asked && !isToBeMade(look, setup, cluster) ? failureProblem(look, of, object, nowMs) : [];
  if (setup.kind === 'done') problems.push(...setup.problems.map(({ message }) => tell('SetupIncomplete', message)));
  if (look.kind !== 'seen') return problems;
  return [...problems, ...serverProblems(shard, look.facts, cluster.spec).map((each) => tell(...each))];
}

/** The setup makes the database where it may; one that is still missing after that is a person's business. */
function isToBeMade(look: Look<unknown>, setup: ShardObservation['setup'], { spec }: Observation['cluster']): boolean {
  return look.kind === 'failed' && look.failure.kind === 'missing-database' && setup.kind === 'due' && !spec.paused;
}

function serverProblems(
  { name, kind }: ShardObservation,
  facts: ShardFacts,
  spec: Observation['cluster']['spec'],
): (readonly [ProblemReason, string])[] {
  const found: (readonly [ProblemReason, string])[] = [];
  if (!facts.primary) {
    found.push(['NotPrimary', `${name} is a standby and takes no writes; point the shard at its primary`]);
  }
  if (facts.version < SERVER_VERSION_MIN) {
    found.push(['VersionTooOld', `${name} runs PostgreSQL ${facts.version}; 14.5 or later is needed`]);
  }
  const needed = Math.min(preparedTransactionsNeeded(spec), maxPreparedTransactions(spec));
  const has = facts.maxPreparedTransactions;
  if (kind === 'external' && spec.twoPhaseCommit.enabled && has < needed) {
    const remedy = `ALTER SYSTEM SET max_prepared_transactions = ${needed}`;
    const message = `${name} has max_prepared_transactions ${has} and the proxies may need ${needed}: run ${remedy} there and restart that server, or lower spec.proxy.pool.size`;
    found.push(['TooFewPreparedTransactions', message]);
  }
  for (const fault of facts.configurationFaults ?? []) {
    const about = fault.name === null ? '' : `${fault.name}: `;
    found.push([
      'ParametersRefused',
      `${name} goes on with its former settings: ${about}${fault.message}; correct spec.postgres.parameters`,
    ]);
  }
  for (const { name: setting, overriddenBy } of facts.differences) {
    if (overriddenBy === null) continue;
    const message = `${setting} is not as spec.postgres.parameters says on ${name}: ${overriddenBy} stands above it (ALTER SYSTEM RESET ${setting})`;
    found.push(['SettingOverridden', message]);
  }
  return found;
}

function proxyProblems({ cluster, nowMs }: Observation, proxy: ProxyObservation): Problem[] {
  const { name, ordinal, pod, look } = proxy;
  if (pod === undefined || isLeaving(pod) || ordinal >= cluster.spec.proxy.replicas) return [];
  const of = { kind: 'proxy', name } as const;
  const object = { kind: 'Pod', name };
  if (look.kind !== 'seen') return failureProblem(look, of, object, nowMs);
  const { configError } = look.facts;
  if (configError === null) return [];
  const message = `${name} goes on with its former configuration: ${configError}`;
  return [{ of, object, reason: 'ConfigurationRefused', message }];
}
