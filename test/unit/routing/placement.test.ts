// Placement against golden vectors that a real PostgreSQL made and satisfies_hash_partition confirmed.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  NULL_KEY,
  Placement,
  UNREADABLE,
  UNSTABLE,
  type WireType,
  wireTypeOfKey,
} from '../../../src/routing/placement.ts';
import type { KeyType } from '../../../src/routing/topology.ts';

interface Vector {
  readonly type: KeyType;
  readonly value: string;
  readonly buckets: Readonly<Record<string, number>>;
}

const file = path.resolve(import.meta.dirname, '../../golden/placement/vectors.json');
const { vectors } = JSON.parse(readFileSync(file, 'utf8')) as { vectors: Vector[] };

/** A placement whose shards are the buckets themselves. */
const identity = (buckets: number) =>
  new Placement({ buckets, bucketOwner: Uint16Array.from({ length: buckets }, (_, bucket) => bucket) });

const MODULI = [2, 3, 7, 16, 4096, 65_536] as const;
const placements = MODULI.map((buckets) => ({ buckets, placement: identity(buckets) }));
const cases = vectors.flatMap((vector) =>
  placements.map(({ buckets, placement }) => ({ ...vector, placement, bucket: vector.buckets[buckets] })),
);

function binary(type: WireType, value: string): Buffer {
  switch (type) {
    case 'int2':
    case 'int4': {
      const bytes = Buffer.alloc(type === 'int2' ? 2 : 4);
      bytes.writeIntBE(Number(value), 0, bytes.length);
      return bytes;
    }
    case 'int8': {
      const bytes = Buffer.alloc(8);
      bytes.writeBigInt64BE(BigInt(value));
      return bytes;
    }
    case 'text':
      return Buffer.from(value, 'utf8');
    case 'uuid':
      return Buffer.from(value.replaceAll('-', ''), 'hex');
  }
}

describe('placement agrees with satisfies_hash_partition', () => {
  it('has vectors of every type', () => {
    expect(new Set(vectors.map(({ type }) => type))).toEqual(
      new Set(['smallint', 'integer', 'bigint', 'text', 'varchar', 'uuid']),
    );
    expect(vectors.length).toBeGreaterThan(100);
  });

  it('for literals', () => {
    for (const { type, value, placement, bucket } of cases) {
      expect([type, value, placement.ofText(type, value)]).toEqual([type, value, bucket]);
    }
  });

  it('for text parameters', () => {
    for (const { type, value, placement, bucket } of cases) {
      expect([type, value, placement.ofWire(type, wireTypeOfKey(type), 0, Buffer.from(value))]).toEqual([
        type,
        value,
        bucket,
      ]);
    }
  });

  it('for binary parameters of the type itself', () => {
    for (const { type, value, placement, bucket } of cases) {
      const wire = wireTypeOfKey(type);
      expect([type, value, placement.ofWire(type, wire, 1, binary(wire, value))]).toEqual([type, value, bucket]);
    }
  });

  it('for integers that a client sends in another width', () => {
    for (const { type, value, placement, bucket } of cases.filter(({ type }) => type === 'smallint')) {
      for (const wire of ['int2', 'int4', 'int8'] as const) {
        expect([wire, value, placement.ofWire('bigint', wire, 1, binary(wire, value))]).toEqual([wire, value, bucket]);
        expect([wire, value, placement.ofWire('integer', wire, 0, Buffer.from(value))]).toEqual([wire, value, bucket]);
      }
      expect(placement.ofSafeInteger(Number(value))).toBe(bucket);
      expect(type).toBe('smallint');
    }
  });
});

describe('forms of one value', () => {
  const placement = identity(65_536);
  it.each([
    [
      'bigint',
      '42',
      [' 42', '42 ', '+42', '042', '0x2a', '0X2A', '0o52', '0b101010', '4_2', '\t42\n', '0000000000000000042'],
    ],
    ['bigint', '-42', [' -42', '-042', '-0x2A']],
    ['bigint', '9223372036854775807', ['0x7fffffffffffffff', '+9223372036854775807']],
    [
      'uuid',
      'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
      [
        'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11',
        '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}',
        'a0eebc999c0b4ef8bb6d6bb9bd380a11',
        'a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11',
        '{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}',
      ],
    ],
  ] as const)('%s %s has one place however it is written', (type, value, forms) => {
    const place = placement.ofText(type, value);
    expect(place).toBeGreaterThanOrEqual(0);
    for (const form of forms) expect([form, placement.ofText(type, form)]).toEqual([form, place]);
  });

  it.each([
    [
      'bigint',
      [
        '',
        ' ',
        '-',
        '4 2',
        '42x',
        '4.2',
        '4e2',
        '_42',
        '42_',
        '4__2',
        '0x',
        '９',
        '9223372036854775808',
        '-9223372036854775809',
        'NaN',
        '\u00a042',
      ],
    ],
    ['integer', ['2147483648', '-2147483649']],
    ['smallint', ['32768', '-32769']],
    [
      'uuid',
      [
        '',
        'a0eebc99',
        '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
        'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1g',
        'a0e-ebc999c0b4ef8bb6d6bb9bd380a11',
        ' a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
      ],
    ],
    ['text', ['\ud800', 'a\0b']],
  ] as const)('%s does not guess at what PostgreSQL would refuse', (type, forms) => {
    for (const form of forms) expect([form, placement.ofText(type, form)]).toEqual([form, UNREADABLE]);
  });

  it('a NULL, a wrong width and a wrong type are not places', () => {
    expect(placement.ofWire('bigint', 'int8', 1, null)).toBe(NULL_KEY);
    expect(placement.ofWire('bigint', 'int8', 1, Buffer.alloc(4))).toBe(UNREADABLE);
    expect(placement.ofWire('bigint', 'int4', 1, Buffer.alloc(8))).toBe(UNREADABLE);
    expect(placement.ofWire('bigint', 'text', 0, Buffer.from('42'))).toBe(UNREADABLE);
    expect(placement.ofWire('uuid', 'uuid', 1, Buffer.alloc(15))).toBe(UNREADABLE);
    expect(placement.ofWire('text', 'int4', 0, Buffer.from('42'))).toBe(UNREADABLE);
  });

  it('a varchar with trailing blanks may be stored shorter, so it has no place; a text keeps its blanks', () => {
    expect(placement.ofText('varchar', 'abc ')).toBe(UNSTABLE);
    expect(placement.ofWire('varchar', 'text', 0, Buffer.from('abc '))).toBe(UNSTABLE);
    expect(placement.ofText('text', 'abc ')).not.toBe(placement.ofText('text', 'abc'));
    expect(placement.ofSoughtText('varchar', 'abc ')).toBe(placement.ofText('text', 'abc '));
  });
});
