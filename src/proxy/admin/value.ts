// Values of the admin database and how they leave: as text or in PostgreSQL's binary form, because some drivers ask for
// binary whatever the server is.

export type AdminType = 'text' | 'bool' | 'int4' | 'int8' | 'float8' | 'timestamptz';

/** Times are milliseconds since the Unix epoch. */
export type AdminValue = string | number | boolean | null;

/** OID and size of each type, as pg_type says. */
export const TYPE_FACTS: Readonly<Record<AdminType, { readonly oid: number; readonly size: number }>> = {
  text: { oid: 25, size: -1 },
  bool: { oid: 16, size: 1 },
  int4: { oid: 23, size: 4 },
  int8: { oid: 20, size: 8 },
  float8: { oid: 701, size: 8 },
  timestamptz: { oid: 1184, size: 8 },
};

/** Microseconds from the Unix epoch to PostgreSQL's, 2000-01-01. */
const POSTGRES_EPOCH_MS = 946_684_800_000;

/** The value as psql shows it; null is NULL. */
export function textOf(type: AdminType, value: AdminValue): string | null {
  if (value === null) return null;
  if (type === 'bool') return value === true ? 't' : 'f';
  if (type === 'timestamptz') return `${new Date(Number(value)).toISOString().replace('T', ' ').replace('Z', '')}+00`;
  return String(value);
}

/** The value in binary; null is NULL. */
export function binaryOf(type: AdminType, value: AdminValue): Buffer | null {
  if (value === null) return null;
  const bytes = Buffer.alloc(Math.max(0, TYPE_FACTS[type].size));
  switch (type) {
    case 'text':
      return Buffer.from(String(value));
    case 'bool':
      bytes.writeUInt8(value === true ? 1 : 0);
      return bytes;
    case 'int4':
      bytes.writeInt32BE(Number(value));
      return bytes;
    case 'int8':
      bytes.writeBigInt64BE(BigInt(Math.round(Number(value))));
      return bytes;
    case 'float8':
      bytes.writeDoubleBE(Number(value));
      return bytes;
    case 'timestamptz':
      bytes.writeBigInt64BE(BigInt(Math.round((Number(value) - POSTGRES_EPOCH_MS) * 1_000)));
      return bytes;
  }
}
