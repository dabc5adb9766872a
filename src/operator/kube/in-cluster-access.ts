// Access of a pod: the ServiceAccount's files, read again each minute, because the kubelet replaces the token before it ends.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Clock } from '../../kernel/clock.ts';
import { type Access, AccessError, type AccessSource, type TlsMaterial } from './access.ts';

export const SERVICE_ACCOUNT_DIRECTORY = '/var/run/secrets/kubernetes.io/serviceaccount';

const READ_AGAIN_MS = 60_000;

export interface InClusterOptions {
  readonly clock: Clock;
  /** Of the process: the kubelet sets KUBERNETES_SERVICE_HOST and _PORT. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly directory?: string;
}

/** The URL from the two variables, IPv6 hosts in brackets; `undefined` outside a pod. */
export function serverFromEnv(env: Readonly<Record<string, string | undefined>>): URL | undefined {
  const host = env.KUBERNETES_SERVICE_HOST;
  const port = env.KUBERNETES_SERVICE_PORT ?? '443';
  if (host === undefined || host === '') return undefined;
  return new URL(`https://${host.includes(':') ? `[${host}]` : host}:${port}`);
}

/** Access by the pod's ServiceAccount; throws {@link AccessError} outside a pod. */
export function inClusterAccess({ clock, env, directory = SERVICE_ACCOUNT_DIRECTORY }: InClusterOptions): AccessSource {
  const server = serverFromEnv(env);
  if (server === undefined) throw new AccessError('not in a pod: KUBERNETES_SERVICE_HOST is not set');
  let held: Access | undefined;
  let readAtMs = 0;

  const readAgain = async (): Promise<Access> => {
    const token = (await readText(path.join(directory, 'token'))).trim();
    const ca = await readText(path.join(directory, 'ca.crt'));
    if (token === '') throw new AccessError(`${path.join(directory, 'token')} is empty`);
    // The same object while the authority is the same: the transport keeps its connections.
    const tls: TlsMaterial = held?.tls.ca === ca ? held.tls : { ca };
    held = { server, tls, token };
    readAtMs = clock.monotonicMs();
    return held;
  };

  return {
    current: async () => {
      if (held !== undefined && clock.monotonicMs() - readAtMs < READ_AGAIN_MS) return held;
      try {
        return await readAgain();
      } catch (error) {
        // A file that is just being replaced: the old token is good for minutes more.
        if (held !== undefined) return held;
        throw error;
      }
    },
    refused: () => {
      readAtMs = Number.NEGATIVE_INFINITY;
    },
  };
}

/** The text of a file; rejects with {@link AccessError}. */
export async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new AccessError(`cannot read ${file}`, { cause });
  }
}
