// Who the client is: SCRAM-SHA-256 or trust. An unknown user and a wrong password look the same, in answer and in time.
import { randomBytes } from 'node:crypto';
import { readSaslInitialResponse, readSaslResponse } from '../protocol/client-message.ts';
import { CLIENT } from '../protocol/message-type.ts';
import { type ScramFault, ScramServer, scramFaultError } from '../protocol/scram.ts';
import { mockVerifier, type ScramVerifier, verifierFor } from '../protocol/scram-keys.ts';
import {
  AUTHENTICATION_OK,
  authenticationSasl,
  authenticationSaslContinue,
  authenticationSaslFinal,
} from '../protocol/server-message.ts';
import { SQLSTATE, type SqlError, sqlError } from '../protocol/sql-error.ts';

export interface AuthenticationRules {
  readonly method: 'scram-sha-256' | 'trust';
  /** By user name. With trust, an empty map admits every name. */
  readonly verifiers: ReadonlyMap<string, ScramVerifier>;
  /** Makes up verifiers for names that do not exist. */
  readonly mockSecret: Buffer;
}

/** Derives the verifiers once, when a configuration is read. */
export async function authenticationRules(
  method: 'scram-sha-256' | 'trust',
  users: readonly { readonly name: string; readonly password?: string | undefined }[],
): Promise<AuthenticationRules> {
  const verifiers = new Map<string, ScramVerifier>();
  for (const user of users) {
    if (user.password !== undefined) verifiers.set(user.name, await verifierFor(user.password));
  }
  return { method, verifiers, mockSecret: randomBytes(32) };
}

export type AuthenticationStep =
  | { readonly kind: 'send'; readonly bytes: Buffer }
  | { readonly kind: 'admitted'; readonly bytes: Buffer }
  | { readonly kind: 'refused'; readonly error: SqlError };

/** One login; frames of type `p` go in, what to send comes out. */
export class Authentication {
  readonly #user: string;
  readonly #rules: AuthenticationRules;
  readonly #scram: ScramServer;
  #expects: 'initial' | 'response' = 'initial';

  /** `endPoint`: what the client may bind its proof to, on an encrypted connection. */
  constructor(user: string, rules: AuthenticationRules, endPoint?: Buffer) {
    this.#user = user;
    this.#rules = rules;
    const verifier = rules.verifiers.get(user) ?? mockVerifier(user, rules.mockSecret);
    this.#scram = new ScramServer(verifier, { endPoint });
  }

  start(): AuthenticationStep {
    if (this.#rules.method === 'trust') return { kind: 'admitted', bytes: AUTHENTICATION_OK };
    return { kind: 'send', bytes: authenticationSasl(this.#scram.mechanisms) };
  }

  /** Throws MalformedMessage for a frame that is not what it claims to be. */
  frame(type: number, chunk: Buffer, start: number, end: number): AuthenticationStep {
    if (type !== CLIENT.password) {
      return refuse(`expected SASL response, got message type ${type}`, SQLSTATE.protocolViolation);
    }
    if (this.#expects === 'initial') {
      const { mechanism, response } = readSaslInitialResponse(chunk, start, end);
      if (!this.#scram.mechanisms.includes(mechanism)) {
        return refuse('client selected an invalid SASL authentication mechanism', SQLSTATE.protocolViolation);
      }
      if (response === null) return { kind: 'send', bytes: authenticationSaslContinue('') };
      const step = this.#scram.first(response, mechanism);
      if (step.kind !== 'send') return this.#fault(step);
      this.#expects = 'response';
      return { kind: 'send', bytes: authenticationSaslContinue(step.message) };
    }
    const step = this.#scram.final(readSaslResponse(chunk, start, end));
    if (step.kind !== 'send') return this.#fault(step);
    return { kind: 'admitted', bytes: Buffer.concat([authenticationSaslFinal(step.message), AUTHENTICATION_OK]) };
  }

  #fault(fault: ScramFault): AuthenticationStep {
    return { kind: 'refused', error: { ...scramFaultError(fault, this.#user), severity: 'FATAL' } };
  }
}

function refuse(message: string, code: string): AuthenticationStep {
  return { kind: 'refused', error: sqlError(code, message, { severity: 'FATAL' }) };
}
