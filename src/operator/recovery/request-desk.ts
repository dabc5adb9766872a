// Where people's wishes arrive: each request is judged once, carried out or refused, told as an Event, and answered on the object.
// The rule: whoever owns the transaction is asked first; one that its proxy drives is not ended behind the proxy's back.
//
//   annotation resolve ──► owner there? holds it? ──► evidence ──► done / refused ──► Event, annotation resolve-result
//                          owner away: its log under its lock
import type { Clock } from '../../kernel/clock.ts';
import { renderTransactionId, transactionKey } from '../../transaction/gid.ts';
import type { LogEvidence } from '../../transaction/log-evidence.ts';
import { CLUSTERS } from '../cluster/kinds.ts';
import { proxyTarget } from '../cluster/targets.ts';
import type { KubeClient } from '../kube/client.ts';
import { isKubeError } from '../kube/kube-error.ts';
import { objectKey } from '../kube/resource.ts';
import type { AskHeld } from './held-rows.ts';
import { answerOf, type InstanceSight, logClaimOf, nodeOf, shardsToAsk, whyMayLive } from './instances.ts';
import { RECOVER_NOW } from './judge.ts';
import { type RecoveryKube, readLogByJob } from './log-source.ts';
import { closeProbes, openProbes, type ProbeFactory } from './probes.ts';
import {
  parseRequest,
  RESOLVE_REQUEST,
  RESOLVE_RESULT,
  type ResolveRequest,
  type ResolveResult,
  requestIdOf,
} from './request.ts';
import { resolveOne } from './resolve-one.ts';
import type { RecoveryContext, RecoveryOccurrence } from './types.ts';

export interface RequestDeskDeps {
  readonly kube: RecoveryKube & Pick<KubeClient, 'mergePatch'>;
  readonly clock: Clock;
  readonly probeFor: ProbeFactory;
  readonly askHeld: AskHeld;
}

/** The request that is at hand for one cluster. */
interface Entry {
  readonly text: string;
  result: ResolveResult | undefined;
  writing: boolean;
}

export class RequestDesk {
  readonly #deps: RequestDeskDeps;
  readonly #entries = new Map<string, Entry>();

  constructor(deps: RequestDeskDeps) {
    this.#deps = deps;
  }

  /** What is to be done now, if anything; the promise resolves with what to tell, and rejects with KubeError. */
  step(
    context: RecoveryContext,
    sights: readonly InstanceSight[],
    signal: AbortSignal,
  ): Promise<RecoveryOccurrence | null> | null {
    const { metadata } = context.observation.cluster;
    const key = objectKey(metadata);
    const text = metadata.annotations?.[RESOLVE_REQUEST];
    if (text === undefined) {
      this.#entries.delete(key);
      return null;
    }
    const entry = this.#entries.get(key);
    if (entry?.text === text) return this.#answer(context, entry, signal);
    const fresh: Entry = { text, result: undefined, writing: false };
    this.#entries.set(key, fresh);
    return this.#handle(context, sights, fresh, signal);
  }

  forget(key: string): void {
    this.#entries.delete(key);
  }

  async #handle(
    context: RecoveryContext,
    sights: readonly InstanceSight[],
    entry: Entry,
    signal: AbortSignal,
  ): Promise<RecoveryOccurrence> {
    const request = parseRequest(entry.text);
    if (typeof request === 'string') {
      entry.result = { id: requestIdOf(entry.text), outcome: 'refused', message: request };
      return occurrenceOf('a request', entry.result);
    }
    const answer = await this.#carryOut(context, sights, request, signal).catch((error: unknown) => ({
      outcome: 'failed' as const,
      message: error instanceof Error ? error.message : String(error),
    }));
    entry.result = { id: request.id, ...answer };
    const { transaction, by, reason, verdict, force } = request;
    const wish = `${renderTransactionId(transaction)}: ${verdict}${force ? ' (forced)' : ''} by ${by} (${reason})`;
    return occurrenceOf(wish, entry.result);
  }

  async #carryOut(
    context: RecoveryContext,
    sights: readonly InstanceSight[],
    request: ResolveRequest,
    signal: AbortSignal,
  ): Promise<Omit<ResolveResult, 'id'>> {
    const refused = (message: string) => ({ outcome: 'refused', message }) as const;
    const { observation, shardTargets } = context;
    const { transaction } = request;
    if (transaction.cluster !== observation.clusterId) {
      return refused(`transactions of this cluster begin with ${observation.clusterId}:`);
    }
    if (observation.cluster.spec.paused) return refused('spec.paused is true');
    const sight = sights.find(({ instance }) => instance === transaction.instance);
    const word = await this.#wordOf(context, sight, request, signal);
    if (typeof word === 'string') return refused(word);
    const probes = openProbes(shardsToAsk(observation), shardTargets, this.#deps.probeFor);
    try {
      // A crash between this and the answer: the request is still there; what has ended is found ended, what has not is ended then.
      return await resolveOne(request, word, probes);
    } finally {
      await closeProbes(probes);
    }
  }

  /** What is known of the decision; a sentence when the transaction is somebody's who may still end it. */
  async #wordOf(
    { observation, image }: RecoveryContext,
    sight: InstanceSight | undefined,
    { transaction }: ResolveRequest,
    signal: AbortSignal,
  ): Promise<LogEvidence | string> {
    const { kube, clock, askHeld } = this.#deps;
    const { instance } = transaction;
    if (sight === undefined) return { kind: 'lost' };
    if (sight.proxy !== undefined && answerOf(sight) !== undefined) {
      const target = proxyTarget(observation, sight.proxy);
      const held = target === undefined ? null : await askHeld(target);
      const id = renderTransactionId(transaction);
      if (held?.some((one) => one.transaction === id) === true) return { kind: 'damaged' };
      return `${instance} answers and does not hold it: it ends it by itself, or holds it after its next pass`;
    }
    const claim = logClaimOf(sight);
    if (claim === undefined) return whyMayLive(sight) ?? { kind: 'lost' };
    const ids = [transactionKey(transaction)];
    const wish = { cluster: observation.cluster, instance, claim, image, nodeName: nodeOf(sight), ids };
    const report = await readLogByJob(wish, { kube, clock }, signal);
    if (report.kind === 'locked') return `${instance} lives: its log is in use by ${report.holder}`;
    // Not readable: then nothing in it proves anything, and the shards must.
    return report.kind === 'read' ? (report.dump.words.get(ids[0] ?? '') ?? { kind: 'damaged' }) : { kind: 'damaged' };
  }

  /** Writes the answer beside the request, which goes; a request that was exchanged meanwhile is the next one. */
  #answer({ observation }: RecoveryContext, entry: Entry, signal: AbortSignal): Promise<null> | null {
    const { result } = entry;
    if (result === undefined || entry.writing) return null;
    entry.writing = true;
    const annotations = { [RESOLVE_REQUEST]: null, [RESOLVE_RESULT]: JSON.stringify(result) };
    return this.#patch(observation.cluster.metadata, annotations, signal).finally(() => {
      entry.writing = false;
    });
  }

  /** Removes names whose time has come: the annotation would cut the grace period of every later absence as well. */
  async clearRecoverNow({ observation }: RecoveryContext, signal: AbortSignal): Promise<null> {
    return this.#patch(observation.cluster.metadata, { [RECOVER_NOW]: null }, signal);
  }

  async #patch(
    { namespace, name, resourceVersion }: RecoveryContext['observation']['cluster']['metadata'],
    annotations: Readonly<Record<string, string | null>>,
    signal: AbortSignal,
  ): Promise<null> {
    try {
      const patch = { metadata: { resourceVersion, annotations } };
      await this.#deps.kube.mergePatch(CLUSTERS, { namespace, name }, patch, { signal });
    } catch (error) {
      // Changed meanwhile: the next step has the newer object.
      if (!isKubeError(error, 'conflict', 'notFound')) throw error;
    }
    return null;
  }
}

function occurrenceOf(wish: string, { outcome, message }: ResolveResult): RecoveryOccurrence {
  const reason = { done: 'ResolvedByHand', refused: 'ResolveRefused', failed: 'ResolveFailed' }[outcome];
  return { type: 'Warning', reason, action: 'Resolve', note: `${wish}: ${message}` };
}
