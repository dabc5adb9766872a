// docs/OBJECTS.md names every object that is made, and no other.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { internalSecret, superuserSecret, userSecret } from '../../../../src/operator/desired/credential-secrets.ts';
import { desiredObjects } from '../../../../src/operator/desired/desired.ts';
import { clusterNames } from '../../../../src/operator/desired/names.ts';
import { shardParameters } from '../../../../src/operator/desired/postgres-parameters.ts';
import { desiredInput, shardedCluster } from '../../../support/sharded-cluster.ts';

const DOCUMENT = readFileSync(path.resolve(import.meta.dirname, '../../../../docs/OBJECTS.md'), 'utf8');
const monitoring = { podMonitor: { enabled: true }, prometheusRule: { enabled: true } };
const input = desiredInput(shardedCluster({ shards: { count: 1, storage: { size: '1Gi' } }, monitoring }, 'c'));

describe('docs/OBJECTS.md', () => {
  it('lists the objects of a cluster', () => {
    const { cluster } = input;
    const login = { name: 'ROLE', password: 'x' };
    const secrets = [
      superuserSecret(cluster, login),
      userSecret(cluster, { ...login, name: 'role' }),
      internalSecret(cluster, { admin: 'x', resolver: 'x', metrics: 'x' }),
    ];
    const { caSecret, shardTlsSecret, proxyTlsSecret } = clusterNames('c');
    const made = [...desiredObjects(input), ...secrets].map(
      ({ type, object }) => `${type.kind} ${object.metadata.name}`,
    );
    made.push(...[caSecret, shardTlsSecret, proxyTlsSecret].map((name) => `Secret ${name}`));
    const told = [...DOCUMENT.matchAll(/^\| ([A-Z]\w+) \| `([^`]+)` \|/gm)].map(([, kind, name = '']) => {
      const plain = name.replace('<c>', 'c').replace('<i>', '0').replace('<role>', 'role');
      return `${kind} ${plain}`;
    });
    expect(told.toSorted()).toEqual(made.toSorted());
  });

  it('names every setting of a shard that a user may meet', () => {
    const names = Object.keys(shardParameters(input, 0));
    const owned = /^(listen_addresses|port|unix_socket_directories|hba_file|ident_file|ssl.*)$/;
    const silent = names.filter((name) => !owned.test(name) && !DOCUMENT.includes(`\`${name}\``));
    expect(silent).toEqual([]);
  });
});
