// Writes test/golden/placement/vectors.json: key values and the row hash that a real PostgreSQL gives them, each checked
// with satisfies_hash_partition on a table partitioned by that type.
// Use: node scripts/generate-placement-golden.mjs postgres://postgres@127.0.0.1:5418/postgres
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';

const SEED = '8816678312871386365';
const COMBINE = '5305509591434766563';
const MODULI = [2, 3, 7, 16, 4096, 65_536];

const integers = ['0', '1', '-1', '2', '42', '-42', '100', '32767', '-32768'];
const wide = [...integers, '2147483647', '-2147483648', '123456789', '-987654321'];
const widest = [
  ...wide,
  '2147483648',
  '-2147483649',
  '4294967295',
  '4294967296',
  '-4294967296',
  '9007199254740991',
  '9007199254740992',
  '-9007199254740993',
  '999999999999999',
  '1000000000000000',
  '1189998819991197253',
  '9223372036854775807',
  '-9223372036854775808',
];
const texts = [
  '',
  'a',
  'ab',
  'abc',
  'abcd',
  'abcde',
  'abcdef',
  'abcdefg',
  'abcdefgh',
  'abcdefghi',
  'abcdefghij',
  'abcdefghijk',
  'abcdefghijkl',
  'abcdefghijklm',
  'abcdefghijklmnopqrstuvwx',
  'abcdefghijklmnopqrstuvwxy',
  'Zürich',
  '東京',
  '😀',
  'é',
  ' leading',
  'inner  blanks',
  "it's",
  'back\\slash',
  'user@example.org',
  '0',
  '42',
  'x'.repeat(255),
];
const uuids = [
  '00000000-0000-0000-0000-000000000000',
  'ffffffff-ffff-ffff-ffff-ffffffffffff',
  'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
  '123e4567-e89b-12d3-a456-426614174000',
  '0190a5b2-7c3d-7e4f-8a9b-0c1d2e3f4a5b',
];
const TYPES = {
  smallint: ['hashint2extended', integers],
  integer: ['hashint4extended', wide],
  bigint: ['hashint8extended', widest],
  text: ['hashtextextended', texts],
  varchar: ['hashtextextended', texts],
  uuid: ['uuid_hash_extended', uuids],
};

const client = new pg.Client(process.argv[2]);
await client.connect();
const { server_version: version } = (await client.query('show server_version')).rows[0];
const vectors = [];
for (const [type, [hash, values]] of Object.entries(TYPES)) {
  await client.query(`create temporary table parent_${type} (key ${type}) partition by hash (key)`);
  for (const value of values) {
    const { rows } = await client.query(
      `select ((${hash}($1::${type}, ${SEED})::numeric + ${COMBINE} + 36893488147419103232) % 18446744073709551616)::text as hash`,
      [value],
    );
    const rowHash = rows[0].hash;
    const buckets = {};
    for (const modulus of MODULI) {
      const remainder = Number(BigInt(rowHash) % BigInt(modulus));
      const check = await client.query(
        `select satisfies_hash_partition('parent_${type}'::regclass, $2, $3, $1::${type}) as right`,
        [value, modulus, remainder],
      );
      if (check.rows[0].right !== true) throw new Error(`${type} ${value} mod ${modulus}: PostgreSQL disagrees`);
      buckets[modulus] = remainder;
    }
    vectors.push({ type, value, hash: rowHash, buckets });
  }
}
await client.end();
const lines = vectors.map((vector) => `  ${JSON.stringify(vector)}`);
const file = path.resolve(import.meta.dirname, '../test/golden/placement/vectors.json');
writeFileSync(file, `{\n"postgres": "${version}",\n"vectors": [\n${lines.join(',\n')}\n]\n}\n`);
