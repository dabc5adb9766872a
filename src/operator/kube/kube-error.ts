// What can go wrong with a call to the API server, as a closed list of kinds that callers switch over.

export type KubeErrorKind =
  | 'notFound'
  | 'alreadyExists'
  /** The object changed meanwhile, or another field manager owns a field (see `causes`). */
  | 'conflict'
  /** The object is refused; the message says why, in the words of the API server. */
  | 'invalid'
  | 'forbidden'
  | 'unauthorized'
  /** The resource version is too old: list again. */
  | 'gone'
  | 'tooManyRequests'
  /** No answer, a broken connection, or a server that says 5xx. */
  | 'unavailable'
  /** No answer in time. */
  | 'timeout'
  /** The caller gave the call up. */
  | 'aborted'
  /** This process no longer leads, so that nothing was sent. */
  | 'notLeader'
  /** An answer that is not what the API promises. */
  | 'malformed';

export interface KubeErrorCause {
  readonly reason: string;
  readonly message: string;
  readonly field: string;
}

export interface KubeErrorFacts {
  /** HTTP status; absent when there was no answer. */
  readonly status?: number | undefined;
  /** The reason of the Status object, e.g. `AlreadyExists`. */
  readonly reason?: string | undefined;
  readonly causes?: readonly KubeErrorCause[] | undefined;
  /** How long the server asks to wait. */
  readonly retryAfterMs?: number | undefined;
  /** False when it is certain that the server never saw the request. */
  readonly mayHaveHappened?: boolean | undefined;
  readonly cause?: unknown;
}

export class KubeError extends Error {
  override readonly name = 'KubeError';
  readonly kind: KubeErrorKind;
  readonly status: number | undefined;
  readonly reason: string | undefined;
  readonly causes: readonly KubeErrorCause[];
  readonly retryAfterMs: number | undefined;
  readonly mayHaveHappened: boolean;

  constructor(kind: KubeErrorKind, message: string, facts: KubeErrorFacts = {}) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.kind = kind;
    this.status = facts.status;
    this.reason = facts.reason;
    this.causes = facts.causes ?? [];
    this.retryAfterMs = facts.retryAfterMs;
    this.mayHaveHappened = facts.mayHaveHappened ?? true;
  }

  /** True for e.g. `NamespaceTerminating` (a `forbidden`) or `FieldManagerConflict` (a `conflict`). */
  hasCause(reason: string): boolean {
    return this.causes.some((cause) => cause.reason === reason);
  }
}

/** True when `error` is a {@link KubeError} of one of the kinds. */
export function isKubeError(error: unknown, ...kinds: readonly KubeErrorKind[]): error is KubeError {
  return error instanceof KubeError && (kinds.length === 0 || kinds.includes(error.kind));
}

const BY_STATUS: ReadonlyMap<number, KubeErrorKind> = new Map([
  [400, 'invalid'],
  [401, 'unauthorized'],
  [403, 'forbidden'],
  [404, 'notFound'],
  [408, 'timeout'],
  [409, 'conflict'],
  [410, 'gone'],
  [413, 'invalid'],
  [415, 'invalid'],
  [422, 'invalid'],
  [429, 'tooManyRequests'],
  [504, 'timeout'],
]);

/** Codes of the API server that share a status with another kind, or come inside a watch. */
const BY_REASON: ReadonlyMap<string, KubeErrorKind> = new Map([
  ['AlreadyExists', 'alreadyExists'],
  ['Expired', 'gone'],
  ['Gone', 'gone'],
]);

/** An applied object with a field that the schema does not have: the API server says 500 to that (1.36). */
const APPLY_REFUSED = 'failed to create typed patch object';

function kindOf(status: number, reason: string | undefined, said: string): KubeErrorKind {
  if (status === 500 && said.includes(APPLY_REFUSED)) return 'invalid';
  const byReason = reason === undefined ? undefined : BY_REASON.get(reason);
  return byReason ?? BY_STATUS.get(status) ?? (status >= 500 ? 'unavailable' : 'malformed');
}

/**
 * The error of an answer that is not 2xx. `body` is the parsed body, which need not be a Status object: what
 * stands between us and the API server (a load balancer) answers in its own words.
 */
export function errorFromAnswer(doing: string, status: number, body: unknown, retryAfter?: string): KubeError {
  const answer = isRecord(body) ? body : {};
  const reason = textOf(answer.reason);
  const details = isRecord(answer.details) ? answer.details : {};
  const said = textOf(answer.message) ?? (typeof body === 'string' ? body.trim().slice(0, 200) : '');
  return new KubeError(kindOf(status, reason, said), `${doing}: ${said === '' ? `HTTP status ${status}` : said}`, {
    status,
    reason,
    causes: causesOf(details.causes),
    retryAfterMs: retryAfterMsOf(retryAfter, details.retryAfterSeconds),
    // The server's filters refuse these before anything is stored.
    mayHaveHappened: status >= 500 || status === 408,
  });
}

function causesOf(value: unknown): KubeErrorCause[] {
  const list: readonly unknown[] = Array.isArray(value) ? value : [];
  return list.filter(isRecord).map((cause) => ({
    reason: textOf(cause.reason) ?? '',
    message: textOf(cause.message) ?? '',
    field: textOf(cause.field) ?? '',
  }));
}

/** The header counts (a date is not used by the API server); the body's number stands in where it is missing. */
function retryAfterMsOf(header: string | undefined, detail: unknown): number | undefined {
  const seconds = header === undefined ? detail : Number(header);
  return typeof seconds === 'number' && Number.isFinite(seconds) && seconds > 0 ? seconds * 1_000 : undefined;
}

/** True for a plain JSON object. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The value when it is a non-empty string. */
export function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
