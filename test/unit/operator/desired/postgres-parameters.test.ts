// What a shard's postgresql.conf says, and that PostgreSQL's rules of quoting give every value back.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  CONFIGURATION_SETTING,
  renderParameters,
  shardParameters,
} from '../../../../src/operator/desired/postgres-parameters.ts';
import { desiredInput, shardedCluster } from '../../../support/sharded-cluster.ts';

const shards = { count: 3, storage: { size: '1Gi' } };
const parametersOf = (spec: object, index = 0, more = {}) =>
  shardParameters(desiredInput(shardedCluster({ shards, ...spec }), more), index);

/** As guc-file.l and GUC_scanstr read a quoted value (written from PostgreSQL's documentation, not from the code under test). */
function readBack(text: string): string {
  const inside = /^'((?:[^'\\\n]|\\.|'')*)'$/.exec(text)?.[1];
  if (inside === undefined) throw new Error(`not one quoted value: ${text}`);
  const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', f: '\f' };
  return inside.replaceAll(/\\(.)|''/gs, (match, letter?: string) =>
    match === "''" ? "'" : (escapes[letter ?? ''] ?? letter ?? ''),
  );
}

describe('the settings of a shard', () => {
  // Mostly those that mean something in a quoted value.
  const special = fc.constantFrom("'", '\\', '\n', '\r', 'n', 'x', '0', '#', '=', ' ');
  const letter = fc.oneof(special, fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }));

  it('are read back as they were written, whatever is in them', () => {
    fc.assert(
      fc.property(fc.string({ unit: letter, maxLength: 40 }), (value) => {
        const line = renderParameters({ 'a.name': value }).split('\n').at(-2) ?? '';
        expect(readBack(line.slice('a.name = '.length))).toBe(value);
      }),
    );
  });

  it('begin with what initdb found out, so that a line of the spec stands above it', () => {
    const lines = renderParameters({ work_mem: '8MB' }).split('\n');
    expect(lines.slice(1, 3)).toEqual([
      "include_if_exists '/var/lib/postgresql/pgdata/postgresql.conf'",
      "work_mem = '8MB'",
    ]);
  });

  it('let the spec change defaults and nothing that the operator owns', () => {
    const parameters = { work_mem: '8MB', max_connections: 77, shared_buffers: '1GB', listen_addresses: 'localhost' };
    const made = parametersOf({ postgres: { parameters } });
    expect(made).toMatchObject({ work_mem: '8MB', max_connections: '77', shared_buffers: '1GB' });
    expect(made.listen_addresses).toBe('*');
  });

  it('are the same on all shards but for the name, and what an override of resources means', () => {
    const limits = { memory: '8Gi' };
    const spec = {
      shards: {
        ...shards,
        resources: { limits: { memory: '1Gi' } },
        overrides: [{ name: 'shard-2', resources: { limits } }],
      },
    };
    const [first, second, third] = [0, 1, 2].map((index) => parametersOf(spec, index));
    expect(first?.shared_buffers).toBe('256MB');
    expect(third?.shared_buffers).toBe('2048MB');
    const differ = Object.keys(first ?? {}).filter((name) => first?.[name] !== second?.[name]);
    expect(differ).toEqual(['cluster_name', CONFIGURATION_SETTING]);
  });

  it('have PostgreSQL’s own shared_buffers where memory has no limit, and never so little that it does not start', () => {
    expect(parametersOf({}).shared_buffers).toBe('128MB');
    const tiny = { ...shards, resources: { limits: { memory: '32Mi' } } };
    expect(parametersOf({ shards: tiny }).shared_buffers).toBe('16MB');
  });

  it('carry a hash that changes with every one of them, and with nothing else', () => {
    const hash = (spec: object) => parametersOf(spec)[CONFIGURATION_SETTING];
    const before = hash({});
    expect(hash({ postgres: { parameters: { work_mem: '8MB' } } })).not.toBe(before);
    expect(hash({ postgres: { tls: { mode: 'Disable' } } })).not.toBe(before);
    expect(hash({ postgres: { image: 'postgres:17' } })).toBe(before);
    expect(hash({ postgres: { parameters: { b: 1, a: 2 } } })).toBe(hash({ postgres: { parameters: { a: 2, b: 1 } } }));
  });

  it('never have room for fewer prepared transactions than there are, as PostgreSQL would not start', () => {
    const spec = { twoPhaseCommit: { maxPreparedTransactions: 120 } };
    const preparedFloor = new Map([['shard-1', 400]]);
    const places = [0, 1].map((index) => parametersOf(spec, index, { preparedFloor }).max_prepared_transactions);
    expect(places).toEqual(['120', '400']);
  });

  it('encrypt with certificates where TLS is required, and with none where it is not', () => {
    expect(parametersOf({})).toMatchObject({ ssl: 'on', ssl_cert_file: '/etc/atomshard/tls/tls.crt' });
    const clear = parametersOf({ postgres: { tls: { mode: 'Disable' } } });
    expect(clear.ssl).toBe('off');
    expect(Object.keys(clear)).not.toContain('ssl_cert_file');
  });
});
