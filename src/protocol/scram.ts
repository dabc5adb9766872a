// SCRAM-SHA-256 (RFC 5802, 7677) as the server of our clients and as the client of our shards.
//
//   client                                             server
//     n,,n=,r=<cnonce>                      ─────────▶   (with channel binding p=tls-server-end-point,, instead of n,,)
//                                           ◀─────────  r=<cnonce><snonce>,s=<salt>,i=<iterations>
//     c=biws,r=<cnonce><snonce>,p=<proof>   ─────────▶  checks the proof (constant time)
//                                           ◀─────────  v=<server signature>, or an error that says nothing
//
// The rule: an exchange is used once, and nothing of a refusal tells an unknown user from a wrong password.
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { assert } from '../kernel/assert.ts';
import {
  BOUND_HEADER,
  bindingProof,
  type ClientBinding,
  SCRAM_SHA_256,
  SCRAM_SHA_256_PLUS,
  UNBOUND,
} from './channel-binding.ts';
import {
  deriveClientKeys,
  hmac,
  ITERATIONS_MAX,
  KEY_BYTES,
  readBase64,
  type ScramClientKeys,
  type ScramVerifier,
  sha256,
  xor,
} from './scram-keys.ts';
import { SQLSTATE, type SqlError } from './sql-error.ts';

const NONCE_BYTES = 18;

/** Why an exchange failed: the other side broke the form of it, or the password (or the server's signature) is wrong. */
export type ScramFault = {
  readonly kind: 'malformed' | 'unsupported' | 'downgrade' | 'wrong-proof';
  readonly message: string;
};
export type ScramStep = { readonly kind: 'send'; readonly message: string } | ScramFault;

/** The error for a client of ours; a wrong proof is said in PostgreSQL's words. */
export function scramFaultError(fault: ScramFault, user: string): SqlError {
  if (fault.kind === 'wrong-proof') {
    const message = `password authentication failed for user "${user}"`;
    return { severity: 'FATAL', code: SQLSTATE.invalidPassword, message };
  }
  if (fault.kind === 'downgrade') {
    const message = 'SCRAM channel binding negotiation error';
    return { severity: 'FATAL', code: SQLSTATE.invalidAuthorization, message, detail: fault.message };
  }
  const code = fault.kind === 'malformed' ? SQLSTATE.protocolViolation : SQLSTATE.featureNotSupported;
  const detail = fault.message;
  return { severity: 'FATAL', code, message: 'malformed SCRAM message', detail };
}

const malformed = (message: string): ScramFault => ({ kind: 'malformed', message });

/** Attributes `a=…,b=…` in order; undefined when one is not of that form. */
function attributes(text: string): (readonly [string, string])[] | undefined {
  const found: (readonly [string, string])[] = [];
  for (const part of text.split(',')) {
    if (!/^[A-Za-z]=/.test(part)) return undefined;
    found.push([part.charAt(0), part.slice(2)]);
  }
  return found;
}

const isNonce = (text: string) => /^[\x21-\x2B\x2D-\x7E]+$/.test(text);

/** The server's half. */
export class ScramServer {
  readonly #verifier: ScramVerifier;
  readonly #serverNonce: string;
  readonly #endPoint: Buffer | undefined;
  #bindingProof = '';
  #clientFirstBare = '';
  #serverFirst = '';
  #nonce = '';
  #expects: 'first' | 'final' | 'nothing' = 'first';

  /**
   * `verifier`: the user's, or mockVerifier() for one who does not exist. `endPoint`: what clients may bind to; when given,
   * `mechanisms` offers it. `serverNonce` only for tests.
   */
  constructor(
    verifier: ScramVerifier,
    {
      endPoint,
      serverNonce = randomBytes(NONCE_BYTES).toString('base64'),
    }: { endPoint?: Buffer | undefined; serverNonce?: string } = {},
  ) {
    this.#verifier = verifier;
    this.#endPoint = endPoint;
    this.#serverNonce = serverNonce;
  }

  /** What to offer the client, best first. */
  get mechanisms(): readonly string[] {
    return this.#endPoint === undefined ? [SCRAM_SHA_256] : [SCRAM_SHA_256_PLUS, SCRAM_SHA_256];
  }

  /** Takes the client's first message, of a mechanism that was offered, and answers with salt and iterations. */
  first(message: Buffer, mechanism: string = SCRAM_SHA_256): ScramStep {
    assert(this.#expects === 'first', 'a SCRAM exchange is used once');
    this.#expects = 'nothing';
    const text = message.toString('utf8');
    // gs2-header "," client-first-bare; `y` says that the client could bind to a channel but thinks that we cannot.
    const match = /^([^,]*),([^,]*),(.*)$/s.exec(text);
    if (match === null) return malformed('The message has no GS2 header.');
    const [, flag = '', identity = '', bare = ''] = match;
    const fault = this.#flagFault(flag, mechanism);
    if (fault !== undefined) return fault;
    if (identity !== '') return { kind: 'unsupported', message: 'Authorization identity is not supported.' };
    if (bare.startsWith('m=')) return { kind: 'unsupported', message: 'A required SCRAM extension is not supported.' };
    const fields = attributes(bare);
    // The name is ignored, as in PostgreSQL: the startup packet has said who it is.
    if (fields?.[0]?.[0] !== 'n' || fields[1]?.[0] !== 'r') return malformed('Attributes "n" and "r" expected.');
    if (!isNonce(fields[1][1])) return malformed('Non-printable characters in SCRAM nonce.');
    this.#bindingProof = bindingProof(`${flag},,`, mechanism === SCRAM_SHA_256_PLUS ? this.#endPoint : undefined);
    this.#clientFirstBare = bare;
    this.#nonce = fields[1][1] + this.#serverNonce;
    const { salt, iterations } = this.#verifier;
    this.#serverFirst = `r=${this.#nonce},s=${salt.toString('base64')},i=${iterations}`;
    this.#expects = 'final';
    return { kind: 'send', message: this.#serverFirst };
  }

  #flagFault(flag: string, mechanism: string): ScramFault | undefined {
    if (mechanism === SCRAM_SHA_256_PLUS) {
      if (`${flag},,` === BOUND_HEADER) return undefined;
      if (flag.startsWith('p=')) return { kind: 'unsupported', message: 'Unsupported type of channel binding.' };
      return malformed('SCRAM-SHA-256-PLUS was chosen, but the message does not bind to the channel.');
    }
    if (flag === 'n') return undefined;
    if (flag.startsWith('p=')) return malformed('SCRAM-SHA-256 was chosen, but the message binds to the channel.');
    if (flag !== 'y') return malformed(`Unexpected channel-binding flag "${flag.slice(0, 1)}".`);
    if (this.#endPoint === undefined) return undefined;
    const message = 'The client supports channel binding but thinks the server does not. However, this server does.';
    return { kind: 'downgrade', message };
  }

  /** Takes the client's proof; `send` means that the password is right. */
  final(message: Buffer): ScramStep {
    assert(this.#expects === 'final', 'a SCRAM exchange is used once');
    this.#expects = 'nothing';
    const text = message.toString('utf8');
    const proofAt = text.lastIndexOf(',p=');
    const fields = attributes(text);
    if (proofAt < 0 || fields?.[0]?.[0] !== 'c' || fields[1]?.[0] !== 'r') {
      return malformed('Attributes "c", "r" and "p" expected.');
    }
    // Bound to another certificate than ours: somebody in between passes this exchange on.
    if (fields[0][1] !== this.#bindingProof) {
      return malformed('The channel-binding attribute differs from the GS2 header or the certificate.');
    }
    if (fields[1][1] !== this.#nonce) return malformed('Nonce does not match.');
    const proof = readBase64(text.slice(proofAt + 3));
    if (proof?.length !== KEY_BYTES) return malformed('Malformed proof.');
    const authMessage = `${this.#clientFirstBare},${this.#serverFirst},${text.slice(0, proofAt)}`;
    const clientKey = xor(proof, hmac(this.#verifier.storedKey, authMessage));
    const right = timingSafeEqual(sha256(clientKey), this.#verifier.storedKey);
    // Computed also when the proof is wrong: both ends take the same time.
    const signature = hmac(this.#verifier.serverKey, authMessage).toString('base64');
    return right ? { kind: 'send', message: `v=${signature}` } : { kind: 'wrong-proof', message: 'wrong proof' };
  }
}

/** Remembers the keys derived last for one password, so that a pool's next connection to the server does not wait for them. */
export class ScramKeyCache {
  #salt = '';
  #iterations = 0;
  #keys: Promise<ScramClientKeys> | undefined;

  /** Keys for `password`, which must be the same at every call on one cache. */
  keys(password: string, salt: Buffer, iterations: number): Promise<ScramClientKeys> {
    const saltText = salt.toString('base64');
    if (this.#keys !== undefined && this.#salt === saltText && this.#iterations === iterations) return this.#keys;
    this.#salt = saltText;
    this.#iterations = iterations;
    this.#keys = deriveClientKeys(password, salt, iterations);
    return this.#keys;
  }
}

/** The client's half. */
export class ScramClient {
  readonly #password: string;
  readonly #cache: ScramKeyCache;
  readonly #clientFirstBare: string;
  readonly #clientNonce: string;
  readonly #binding: ClientBinding;
  #authMessage = '';
  #serverKey: Buffer | undefined;

  /**
   * `binding` comes from chooseBinding(). `user` is sent empty by PostgreSQL's clients (the startup packet names it);
   * `clientNonce` and `user` only for tests.
   */
  constructor(
    password: string,
    cache: ScramKeyCache,
    {
      clientNonce = randomBytes(NONCE_BYTES).toString('base64'),
      user = '',
      binding = UNBOUND,
    }: { clientNonce?: string; user?: string; binding?: ClientBinding } = {},
  ) {
    this.#password = password;
    this.#cache = cache;
    this.#clientNonce = clientNonce;
    this.#binding = binding;
    this.#clientFirstBare = `n=${user},r=${clientNonce}`;
  }

  first(): string {
    return `${this.#binding.header}${this.#clientFirstBare}`;
  }

  /** Takes salt and iterations and answers with the proof. */
  async continue(message: Buffer): Promise<ScramStep> {
    const serverFirst = message.toString('utf8');
    const match = /^r=([\x21-\x2B\x2D-\x7E]+),s=([^,]+),i=(\d{1,9})(?:,.*)?$/s.exec(serverFirst);
    const salt = readBase64(match?.[2] ?? '');
    const nonce = match?.[1] ?? '';
    const iterations = Number(match?.[3]);
    if (match === null || !salt || salt.length === 0) return malformed('Attributes "r", "s" and "i" expected.');
    if (!nonce.startsWith(this.#clientNonce) || nonce.length === this.#clientNonce.length) {
      return malformed('The nonce does not continue ours.');
    }
    if (iterations < 1 || iterations > ITERATIONS_MAX) return malformed(`${iterations} iterations are not acceptable.`);
    const keys = await this.#cache.keys(this.#password, salt, iterations);
    const finalWithoutProof = `c=${this.#binding.proof},r=${nonce}`;
    this.#authMessage = `${this.#clientFirstBare},${serverFirst},${finalWithoutProof}`;
    this.#serverKey = keys.serverKey;
    const proof = xor(keys.clientKey, hmac(keys.storedKey, this.#authMessage)).toString('base64');
    return { kind: 'send', message: `${finalWithoutProof},p=${proof}` };
  }

  /** Checks that the server knows the password too; undefined is good. */
  finish(message: Buffer): ScramFault | undefined {
    const text = message.toString('utf8');
    if (text.startsWith('e=')) return { kind: 'wrong-proof', message: text.slice(2) };
    const signature = /^v=([^,]+)(?:,.*)?$/s.exec(text)?.[1];
    const found = signature === undefined ? undefined : readBase64(signature);
    if (this.#serverKey === undefined || found?.length !== KEY_BYTES) return malformed('Server signature expected.');
    const right = timingSafeEqual(found, hmac(this.#serverKey, this.#authMessage));
    return right ? undefined : { kind: 'wrong-proof', message: 'the server does not know the password' };
  }
}
