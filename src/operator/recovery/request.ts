// A person's wish to end one transaction by hand, as an annotation of the ShardedCluster: it stands in the API server's audit log
// with the name of who wrote it, waits for an operator that is away, and is answered beside it.

import { parseTransactionId, type TransactionId } from '../../transaction/gid.ts';
import { isRecord, textOf } from '../kube/kube-error.ts';

export const RESOLVE_REQUEST = 'atomshard.dev/resolve';
export const RESOLVE_RESULT = 'atomshard.dev/resolve-result';

export interface ResolveRequest {
  /** Tells the answer to this request from the answer to another. */
  readonly id: string;
  readonly transaction: TransactionId;
  readonly verdict: 'commit' | 'abort';
  /** Who asks, by their own word; the audit log has it from the API server. */
  readonly by: string;
  readonly reason: string;
  /** Also against what the evidence proves. */
  readonly force: boolean;
}

export interface ResolveResult {
  readonly id: string;
  readonly outcome: 'done' | 'refused' | 'failed';
  readonly message: string;
}

const TEXT_MAX = 500;

export function renderRequest(request: Omit<ResolveRequest, 'transaction'> & { readonly transaction: string }): string {
  return JSON.stringify(request);
}

/** The request; a sentence why it is none. */
export function parseRequest(text: string): ResolveRequest | string {
  const value = parsed(text);
  if (value === undefined) return `the annotation ${RESOLVE_REQUEST} is not a JSON object`;
  const transaction = parseTransactionId(textOf(value.transaction) ?? '');
  if (transaction === null) return `"${String(value.transaction)}" is not the id of a transaction`;
  const { verdict } = value;
  if (verdict !== 'commit' && verdict !== 'abort') return 'its verdict is neither commit nor abort';
  const [id, by, reason] = [textOf(value.id), textOf(value.by), textOf(value.reason)];
  if (id === undefined || by === undefined) return 'it does not say who asks';
  if (reason === undefined) return 'it gives no reason';
  return {
    id,
    transaction,
    verdict,
    by: by.slice(0, TEXT_MAX),
    reason: reason.slice(0, TEXT_MAX),
    force: value.force === true,
  };
}

/** The id of a request that may be none; for the answer to it. */
export const requestIdOf = (text: string): string => textOf(parsed(text)?.id) ?? '';

export function parseResult(text: string | undefined): ResolveResult | undefined {
  const value = parsed(text ?? '');
  const [id, message] = [textOf(value?.id), textOf(value?.message)];
  const outcome = value?.outcome;
  if (outcome !== 'done' && outcome !== 'refused' && outcome !== 'failed') return undefined;
  return id === undefined || message === undefined ? undefined : { id, outcome, message };
}

function parsed(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
