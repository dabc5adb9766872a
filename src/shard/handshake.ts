// The first unit of every server connection: startup, authentication, parameters, up to the first ReadyForQuery.
//
//   startup ─▶ R ok ───────────────────────────────▶ K S… Z
//           ─▶ R cleartext | md5 ─▶ p ─▶ R ok ──────▶
//           ─▶ R sasl ─▶ p ─▶ R continue ─▶ p ─▶ R final ─▶ R ok ─▶
//
// The rule: once SCRAM began, the server must prove that it knows the password too before its OK counts.
import { chooseBinding } from '../protocol/channel-binding.ts';
import * as client from '../protocol/client-message-writer.ts';
import { md5Response } from '../protocol/md5-password.ts';
import { SERVER } from '../protocol/message-type.ts';
import { ScramClient, type ScramKeyCache } from '../protocol/scram.ts';
import {
  type AuthenticationRequest,
  readAuthentication,
  readBackendKeyData,
  readSqlError,
} from '../protocol/server-message-reader.ts';
import type { SqlError } from '../protocol/sql-error.ts';
import type { ConnectionLost } from './branch-link.ts';
import type { ReplySink } from './reply-sink.ts';
import { ConnectFailure, type ConnectFailureKind, failureOfLoss, type ShardTarget } from './target.ts';

export interface BackendKey {
  readonly pid: number;
  readonly key: Buffer;
}

export interface HandshakePorts {
  readonly scramKeys: ScramKeyCache;
  /** What SCRAM binds to, on an encrypted connection: then nobody in between can pass our proof on. */
  readonly endPoint: Buffer | undefined;
  /** Sends more of this unit. */
  reply(bytes: Buffer): void;
  succeeded(key: BackendKey): void;
  failed(failure: ConnectFailure): void;
}

/** The startup packet of a target; client_encoding is fixed, because text is routed by its UTF-8 bytes. */
export function startupBytes(target: ShardTarget): Buffer {
  return client.startupMessage([
    ...Object.entries(target.parameters ?? {}),
    ['user', target.user],
    ['database', target.database],
    ['client_encoding', 'UTF8'],
    ['application_name', target.applicationName],
  ]);
}

export class Handshake implements ReplySink {
  readonly #target: ShardTarget;
  readonly #ports: HandshakePorts;
  #scram: ScramClient | undefined;
  #serverProved = false;
  #authenticated = false;
  #key: BackendKey | undefined;
  #over = false;

  constructor(target: ShardTarget, ports: HandshakePorts) {
    this.#target = target;
    this.#ports = ports;
  }

  frame(type: number, chunk: Buffer, start: number, end: number): void {
    if (this.#over) return;
    switch (type) {
      case SERVER.authentication:
        this.#authenticate(readAuthentication(chunk, start, end));
        return;
      case SERVER.backendKeyData:
        this.#key = readBackendKeyData(chunk, start, end);
        return;
      case SERVER.error: {
        const error = readSqlError(chunk, start, end);
        this.#fail('refused', error.message, error);
        return;
      }
      // The connection keeps parameters; notices of a login concern nobody; a server that negotiates speaks 3.0 with us.
      case SERVER.parameterStatus:
      case SERVER.notice:
      case SERVER.negotiateProtocolVersion:
        return;
      default:
        this.#fail('protocol', `unexpected message of type ${type} while connecting`);
        return;
    }
  }

  chunkEnd(): void {
    // Nothing is gathered here.
  }

  ready(): void {
    if (this.#over) return;
    if (!this.#authenticated) {
      this.#fail('protocol', 'the server was ready before it authenticated us');
      return;
    }
    this.#over = true;
    // A pooler between us and the server may send no key; then nothing can be cancelled, which pid 0 says.
    this.#ports.succeeded(this.#key ?? { pid: 0, key: Buffer.alloc(4) });
  }

  lost(lost: ConnectionLost): void {
    this.#end(failureOfLoss(this.#target, lost));
  }

  #authenticate(request: AuthenticationRequest): void {
    const { password, user } = this.#target;
    switch (request.kind) {
      case 'ok':
        if (this.#scram !== undefined && !this.#serverProved) {
          this.#fail('authentication', 'the server did not prove that it knows the password');
          return;
        }
        this.#authenticated = true;
        return;
      case 'unsupported':
        this.#fail('authentication', `authentication method ${request.code} is not supported`);
        return;
      case 'cleartext':
      case 'md5':
        if (password === undefined) {
          this.#fail('authentication', `no password is configured for user "${user}"`);
          return;
        }
        this.#ports.reply(
          client.password(request.kind === 'md5' ? md5Response(user, password, request.salt) : password),
        );
        return;
      case 'sasl': {
        if (password === undefined) {
          this.#fail('authentication', `no password is configured for user "${user}"`);
          return;
        }
        const binding = chooseBinding(request.mechanisms, this.#ports.endPoint);
        if (binding === undefined) {
          this.#fail('authentication', `the server offers only ${request.mechanisms.join(', ')}`);
          return;
        }
        this.#scram = new ScramClient(password, this.#ports.scramKeys, { binding });
        this.#ports.reply(client.saslInitialResponse(binding.mechanism, this.#scram.first()));
        return;
      }
      case 'sasl-continue':
        void this.#continue(request.message);
        return;
      case 'sasl-final': {
        const fault = this.#scram?.finish(request.message);
        if (this.#scram === undefined || fault !== undefined) {
          this.#fail('authentication', fault?.message ?? 'SCRAM ended before it began');
          return;
        }
        this.#serverProved = true;
        return;
      }
    }
  }

  async #continue(message: Buffer): Promise<void> {
    const step = await this.#scram?.continue(message);
    if (this.#over) return;
    if (step?.kind === 'send') this.#ports.reply(client.saslResponse(step.message));
    else this.#fail('authentication', step?.message ?? 'SCRAM went on before it began');
  }

  #fail(kind: ConnectFailureKind, reason: string, said?: SqlError): void {
    this.#end(new ConnectFailure(this.#target, kind, reason, said));
  }

  #end(failure: ConnectFailure): void {
    if (this.#over) return;
    this.#over = true;
    this.#ports.failed(failure);
  }
}
