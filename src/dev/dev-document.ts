// What `atomshard dev` was asked to run: a ShardedCluster document from a file, or one made of flags.
import { readFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';
import { checkShardedCluster, type ShardedCluster } from '../proxy/config-from-cluster.ts';
import { DevError } from './dev-error.ts';

const SHARDS_DEFAULT = 3;

/** Settings that embedded shards fix themselves, as the operator does on Kubernetes. */
const OWNED_PARAMETERS: Readonly<Record<string, string>> = {
  max_prepared_transactions: 'it follows from the size of the pools',
  listen_addresses: 'shards listen on 127.0.0.1 only',
  port: 'ports are chosen',
  unix_socket_directories: 'shards have no sockets',
};

/** Reads and checks; `shards` overrides the document's count. Throws ConfigError with all problems, or DevError `bad-document` where it cannot run here. */
export function readDevDocument(file: string | undefined, shards: number | undefined): ShardedCluster {
  const source = file ?? 'flags';
  const document =
    file === undefined
      ? {
          apiVersion: 'atomshard.dev/v1alpha1',
          kind: 'ShardedCluster',
          metadata: { name: 'dev' },
          spec: { shards: { count: shards ?? SHARDS_DEFAULT } },
        }
      : readClusterFrom(file);
  const cluster = checkShardedCluster(document, source);
  if (cluster.spec.shards.external.length > 0) {
    throw new DevError(
      'bad-document',
      `${source} names external shards; atomshard dev starts its own. Run \`atomshard proxy\` in front of servers that exist.`,
    );
  }
  for (const name of Object.keys(cluster.spec.postgres.parameters)) {
    const reason = OWNED_PARAMETERS[name.toLowerCase()];
    if (reason !== undefined)
      throw new DevError('bad-document', `${source}: spec.postgres.parameters.${name} cannot be set: ${reason}.`);
  }
  if (shards === undefined) return cluster;
  return { ...cluster, spec: { ...cluster.spec, shards: { ...cluster.spec.shards, count: shards } } };
}

/** The one ShardedCluster of a file, which may hold other documents (Secrets, namespaces) too. */
function readClusterFrom(file: string): unknown {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new DevError('bad-document', `${file} cannot be read: ${cause instanceof Error ? cause.message : ''}`, cause);
  }
  const parsed = parseAllDocuments(text);
  const documents = Array.isArray(parsed) ? parsed : [];
  const broken = documents.flatMap((document) => document.errors)[0];
  if (broken !== undefined) throw new DevError('bad-document', `${file} is not valid YAML: ${broken.message}`, broken);
  const values = documents.map((document): unknown => document.toJS());
  const clusters = values.filter(
    (value) => typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'ShardedCluster',
  );
  // A file with a single document of another kind is judged as it is, so that the error says what is wrong with it.
  if (clusters.length === 0 && values.length === 1) return values[0];
  if (clusters.length !== 1)
    throw new DevError(
      'bad-document',
      `${file} holds ${clusters.length} ShardedClusters; atomshard dev runs exactly one.`,
    );
  return clusters[0];
}
