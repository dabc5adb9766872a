// A kubeconfig document read into the one access that its current context names; what it cannot serve it refuses by name.
import { parse, YAMLError } from 'yaml';
import { AccessError, type TlsMaterial } from './access.ts';
import { isRecord, textOf } from './kube-error.ts';

/** Text given in the document, or a file beside it. */
export type TextOrFile = { readonly text: string } | { readonly file: string } | undefined;

export interface ExecCredential {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly apiVersion: string;
}

export interface KubeconfigAccess {
  readonly server: URL;
  readonly namespace: string;
  readonly ca: TextOrFile;
  readonly cert: TextOrFile;
  readonly key: TextOrFile;
  readonly token: TextOrFile;
  readonly exec: ExecCredential | undefined;
  readonly tls: Pick<TlsMaterial, 'serverName' | 'insecure'>;
}

type Fields = Record<string, unknown>;

/** Settings whose silent loss would send requests to the wrong place, as the wrong user, or without a needed step. */
const REFUSED_CLUSTER = ['proxy-url'] as const;
const REFUSED_USER = ['auth-provider', 'username', 'password', 'as', 'as-groups', 'as-user-extra', 'as-uid'] as const;

/** Reads the document; `contextName` stands in for `current-context`. Throws {@link AccessError}. */
export function readKubeconfig(text: string, contextName?: string): KubeconfigAccess {
  const document = parseDocument(text);
  const wanted = contextName ?? textOf(document['current-context']);
  if (wanted === undefined) throw new AccessError('the kubeconfig has no current-context; name a context');
  const context = named(document, 'contexts', 'context', wanted);
  const cluster = named(document, 'clusters', 'cluster', textOf(context.cluster) ?? '');
  const user = named(document, 'users', 'user', textOf(context.user) ?? '');
  refuse(cluster, REFUSED_CLUSTER);
  refuse(user, REFUSED_USER);
  return {
    server: serverOf(cluster),
    namespace: textOf(context.namespace) ?? 'default',
    ca: textOrFile(cluster, 'certificate-authority-data', 'certificate-authority', true),
    cert: textOrFile(user, 'client-certificate-data', 'client-certificate', true),
    key: textOrFile(user, 'client-key-data', 'client-key', true),
    // As kubectl: a token beside a tokenFile wins only where the file is not named.
    token:
      textOf(user.tokenFile) === undefined ? textOrFile(user, 'token', '', false) : textOrFile(user, '', 'tokenFile'),
    exec: execOf(user.exec),
    tls: {
      serverName: textOf(cluster['tls-server-name']),
      insecure: cluster['insecure-skip-tls-verify'] === true ? true : undefined,
    },
  };
}

function parseDocument(text: string): Fields {
  try {
    const document: unknown = parse(text);
    if (isRecord(document)) return document;
  } catch (cause) {
    if (!(cause instanceof YAMLError)) throw cause;
    throw new AccessError('the kubeconfig is not YAML', { cause });
  }
  throw new AccessError('the kubeconfig is empty');
}

function named(document: Fields, list: string, field: string, name: string): Fields {
  const entries: readonly unknown[] = Array.isArray(document[list]) ? document[list] : [];
  const entry = entries.filter(isRecord).find((candidate) => candidate.name === name);
  const found = entry?.[field];
  if (!isRecord(found)) throw new AccessError(`the kubeconfig has no ${field} named "${name}"`);
  return found;
}

function refuse(fields: Fields, names: readonly string[]): void {
  const found = names.find((name) => fields[name] !== undefined);
  if (found === undefined) return;
  throw new AccessError(`the kubeconfig uses ${found}, which is not supported; use a token, a certificate or exec`);
}

function serverOf(cluster: Fields): URL {
  const server = textOf(cluster.server) ?? '';
  if (!URL.canParse(server)) throw new AccessError(`the kubeconfig's server "${server}" is not a URL`);
  const url = new URL(server);
  // Tokens would travel in the open.
  if (url.protocol !== 'https:') throw new AccessError(`the kubeconfig's server ${server} is not https`);
  return url;
}

function textOrFile(fields: Fields, inline: string, file: string, base64 = false): TextOrFile {
  const text = textOf(fields[inline]);
  if (text !== undefined) return { text: base64 ? Buffer.from(text, 'base64').toString('utf8') : text };
  const name = textOf(fields[file]);
  return name === undefined ? undefined : { file: name };
}

function execOf(value: unknown): ExecCredential | undefined {
  if (!isRecord(value)) return undefined;
  const command = textOf(value.command);
  if (command === undefined) throw new AccessError("the kubeconfig's exec names no command");
  const args: readonly unknown[] = Array.isArray(value.args) ? value.args : [];
  const env: readonly unknown[] = Array.isArray(value.env) ? value.env : [];
  return {
    command,
    args: args.map(String),
    env: Object.fromEntries(env.filter(isRecord).map((entry) => [String(entry.name), String(entry.value)])),
    apiVersion: textOf(value.apiVersion) ?? 'client.authentication.k8s.io/v1',
  };
}
