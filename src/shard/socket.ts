// Opens the TCP or Unix socket to a server; the seam where TLS towards shards will be put.
import { connect, type Socket } from 'node:net';
import type { ShardTarget } from './target.ts';

const KEEP_ALIVE_DELAY_MS = 15_000;

/** A socket that is still connecting: no Nagle delay, and keep-alive so that a vanished host is noticed while idle. */
export function openSocket({ host, port }: Pick<ShardTarget, 'host' | 'port'>): Socket {
  const address = host.startsWith('/') ? { path: `${host}/.s.PGSQL.${port}` } : { host, port };
  return connect({ ...address, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_DELAY_MS });
}
