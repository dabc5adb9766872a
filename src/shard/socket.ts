// Opens the TCP or Unix socket to a server, and the TLS in it, which is asked for in PostgreSQL's way before any other byte.
//
//   connect ─▶ SSLRequest ─▶ S ─▶ TLS handshake ─▶ open
//                            └ N, E, or more than one byte ─▶ ConnectFailure 'tls'
import { connect, type Socket } from 'node:net';
import { type ConnectionOptions, TLSSocket, connect as tlsConnect } from 'node:tls';
import type { Clock } from '../kernel/clock.ts';
import { tlsServerEndPoint } from '../protocol/channel-binding.ts';
import { SSL_REQUEST } from '../protocol/client-message-writer.ts';
import { ConnectFailure, type ConnectFailureKind, type ShardTarget } from './target.ts';
import { CaFileError, type EncryptedTls, tlsFailure, tlsOptionsOf } from './tls.ts';

const KEEP_ALIVE_DELAY_MS = 15_000;
const CLOSE_TIMEOUT_MS = 1_000;
const ACCEPTED = 0x53; // S
const REFUSED = 0x4e; // N

/** A socket that is still connecting: no Nagle delay, and keep-alive so that a vanished host is noticed while idle. */
export function openSocket({ host, port }: Pick<ShardTarget, 'host' | 'port'>): Socket {
  const address = host.startsWith('/') ? { path: `${host}/.s.PGSQL.${port}` } : { host, port };
  return connect({ ...address, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_DELAY_MS });
}

/**
 * A socket whose handshake is done and whose server is who `tls` asks for. Rejects with ConnectFailure, nothing else.
 * When `tooLate` aborts, the socket is destroyed, also after it was handed out.
 */
export async function openEncryptedSocket(
  target: ShardTarget,
  tls: EncryptedTls,
  tooLate: AbortSignal,
): Promise<TLSSocket> {
  try {
    return await shakeHands(target, tls, tlsOptionsOf(target.host, tls), tooLate);
  } catch (error) {
    throw error instanceof CaFileError ? new ConnectFailure(target, 'tls', error.message) : error;
  }
}

/** Ends the socket and waits for the other end to do so, at most a second; then it is destroyed. */
export async function hangUp(socket: Socket, clock: Clock): Promise<void> {
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.end();
  socket.resume();
  const inTime = new AbortController();
  await Promise.race([closed, clock.sleep(CLOSE_TIMEOUT_MS, inTime.signal)]);
  inTime.abort();
  socket.destroy();
}

/** What SCRAM binds to on this socket; undefined without TLS, or where the certificate cannot be bound to. */
export function endPointOf(socket: Socket): Buffer | undefined {
  const certificate = socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined;
  return certificate === undefined ? undefined : tlsServerEndPoint(certificate);
}

function shakeHands(
  target: ShardTarget,
  tls: EncryptedTls,
  options: ConnectionOptions,
  tooLate: AbortSignal,
): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const plain = openSocket(target);
    let secure: TLSSocket | undefined;
    // Also heard after the handshake, when it changes nothing: a socket that failed is destroyed already.
    const fail = (kind: ConnectFailureKind, reason: string) => {
      secure?.destroy();
      plain.destroy();
      reject(new ConnectFailure(target, kind, reason));
    };
    plain.on('error', (error) => fail('unreachable', error.message));
    plain.on('close', () => fail('unreachable', 'the server closed the connection'));
    tooLate.addEventListener('abort', () => fail('timeout', 'the TLS handshake took too long'), { once: true });
    plain.write(SSL_REQUEST);
    plain.once('data', (answer) => {
      const refusal = refusalOf(answer);
      if (refusal !== undefined) return fail('tls', refusal);
      const upgraded = tlsConnect({ ...options, socket: plain });
      secure = upgraded;
      upgraded.on('error', (error) => fail('tls', tlsFailure(error, tls)));
      upgraded.once('secureConnect', () => resolve(upgraded));
    });
  });
}

/** What is wrong with the answer to an SSLRequest; undefined when the handshake may begin. */
function refusalOf(answer: Buffer): string | undefined {
  if (answer[0] === REFUSED) return 'the server does not take TLS connections (its setting ssl is off)';
  // An error sent in clear may be anybody's and must not be passed on as the server's (CVE-2024-10977).
  if (answer[0] !== ACCEPTED) return 'the server answered the request for TLS with something else';
  // What came in clear must never be taken for what came encrypted (CVE-2021-23222).
  return answer.length > 1 ? 'received unencrypted data after the answer to the request for TLS' : undefined;
}
