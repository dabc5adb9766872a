// Access by a kubeconfig file, for people and tests: certificates, tokens, token files, and programs that print a credential.
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Clock } from '../../kernel/clock.ts';
import { type Access, AccessError, type AccessSource, type TlsMaterial } from './access.ts';
import { readText } from './in-cluster-access.ts';
import { isRecord, textOf } from './kube-error.ts';
import { type ExecCredential, type KubeconfigAccess, readKubeconfig, type TextOrFile } from './kubeconfig.ts';

const READ_AGAIN_MS = 60_000;
/** A program may ask a cloud; a person may have to type. */
const EXEC_TIMEOUT_MS = 60_000;
const EXEC_OUTPUT_BYTES_MAX = 1024 * 1024;

const run = promisify(execFile);

export interface KubeconfigOptions {
  readonly clock: Clock;
  readonly file: string;
  readonly context?: string | undefined;
  /** Of the process, for credential programs. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

interface Credential {
  readonly token?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

/** Access as the file's (or the named) context says. The file is read once; token files and programs again each minute. */
export function kubeconfigAccess({ clock, file, context, env }: KubeconfigOptions): AccessSource {
  let config: KubeconfigAccess | undefined;
  let held: Access | undefined;
  let readAtMs = Number.NEGATIVE_INFINITY;

  const read = async (): Promise<Access> => {
    config ??= readKubeconfig(await readText(file), context);
    const content = async (source: TextOrFile) => textOrFileContent(source, path.dirname(file));
    const credential: Credential =
      config.exec === undefined
        ? {
            token: (await content(config.token))?.trim(),
            cert: await content(config.cert),
            key: await content(config.key),
          }
        : await runCredentialProgram(config.exec, env);
    const fresh: TlsMaterial = {
      ...config.tls,
      ca: await content(config.ca),
      cert: credential.cert,
      key: credential.key,
    };
    // The same object while nothing in it changed: the transport keeps its connections.
    const tls = held !== undefined && JSON.stringify(held.tls) === JSON.stringify(fresh) ? held.tls : fresh;
    held = { server: config.server, tls, token: credential.token };
    readAtMs = clock.monotonicMs();
    return held;
  };

  return {
    current: async () => (held !== undefined && clock.monotonicMs() - readAtMs < READ_AGAIN_MS ? held : await read()),
    refused: () => {
      readAtMs = Number.NEGATIVE_INFINITY;
    },
  };
}

async function textOrFileContent(source: TextOrFile, directory: string): Promise<string | undefined> {
  if (source === undefined) return undefined;
  return 'text' in source ? source.text : await readText(path.resolve(directory, source.file));
}

async function runCredentialProgram(
  exec: ExecCredential,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Credential> {
  const ask = { apiVersion: exec.apiVersion, kind: 'ExecCredential', spec: { interactive: false } };
  try {
    const { stdout } = await run(exec.command, exec.args, {
      env: { ...env, ...exec.env, KUBERNETES_EXEC_INFO: JSON.stringify(ask) },
      timeout: EXEC_TIMEOUT_MS,
      maxBuffer: EXEC_OUTPUT_BYTES_MAX,
    });
    return readCredential(stdout);
  } catch (cause) {
    if (cause instanceof AccessError) throw cause;
    throw new AccessError(`the kubeconfig's credential program ${exec.command} failed`, { cause });
  }
}

/** The credential in the ExecCredential document that a program printed; throws {@link AccessError}. */
export function readCredential(stdout: string): Credential {
  let document: unknown;
  try {
    document = JSON.parse(stdout);
  } catch (cause) {
    throw new AccessError('the credential program printed something that is not JSON', { cause });
  }
  const status = isRecord(document) && isRecord(document.status) ? document.status : {};
  const token = textOf(status.token);
  const cert = textOf(status.clientCertificateData);
  const key = textOf(status.clientKeyData);
  if (token === undefined && (cert === undefined || key === undefined)) {
    throw new AccessError('the credential program printed neither a token nor a certificate with its key');
  }
  return { token, cert, key };
}
