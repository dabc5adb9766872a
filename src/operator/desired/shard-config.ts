// The ConfigMap of one shard: PostgreSQL's configuration files, and the scripts that start and probe it.

import { CONFIG_MAPS } from '../cluster/kinds.ts';
import { bootstrapScript, probeScript } from './bootstrap-script.ts';
import type { DesiredInput, DesiredObject } from './desired-input.ts';
import { ownedMeta } from './labels.ts';
import { SHARD_PATHS, shardNames } from './names.ts';
import { UIDS } from './pod-parts.ts';
import { renderParameters, shardParameters } from './postgres-parameters.ts';

/** Which of the operating system's users in the container may be which role; the name occurs in pg_hba.conf. */
const IDENT_MAP = 'container';

/**
 * Mounted over the image's own: PostgreSQL refuses to run as a user that has no name, and images differ in whom they name
 * (999 in Debian's, 70 in Alpine's).
 */
const PASSWD = `root:x:0:0:root:/:/sbin/nologin
postgres:x:${UIDS.shard}:${UIDS.shard}:PostgreSQL:${SHARD_PATHS.volume}:/bin/sh
nobody:x:65534:65534:nobody:/:/sbin/nologin
`;
const GROUP = `root:x:0:
postgres:x:${UIDS.shard}:
nogroup:x:65534:
`;

/** From inside the container by its Unix user, from elsewhere by password, and encrypted unless the spec says not to. */
function clientAuthentication(tls: boolean): string {
  return `# Written by the operator.
# TYPE  DATABASE  USER  ADDRESS  METHOD
local   all       all            peer map=${IDENT_MAP}
${tls ? 'hostssl' : 'host   '} all       all   all      scram-sha-256
`;
}

export function shardConfig(input: DesiredInput, index: number): DesiredObject {
  const { cluster } = input;
  const { metadata, spec } = cluster;
  const { set, logical } = shardNames(metadata.name, index);
  return {
    type: CONFIG_MAPS,
    object: {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: ownedMeta(cluster, set, 'shard', logical),
      data: {
        'postgresql.conf': renderParameters(shardParameters(input, index)),
        'pg_hba.conf': clientAuthentication(spec.postgres.tls.mode === 'Require'),
        'pg_ident.conf': `# Written by the operator.\n${IDENT_MAP} postgres "${input.superuser.replaceAll('"', '""')}"\n`,
        'initdb.args': spec.postgres.initdbArgs.map((option) => `${option}\n`).join(''),
        'bootstrap.sh': bootstrapScript(SHARD_PATHS),
        'probe.sh': probeScript(SHARD_PATHS),
        passwd: PASSWD,
        group: GROUP,
      },
    },
  };
}
