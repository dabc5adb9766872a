// Gives a copied data directory an identity of its own: servers with one identifier would vouch for each other.
//
//   global/pg_control   [ u64 system_identifier | … | u32 crc32c of all before ] zero padding
//   pg_wal/<segment>    [ u16 magic | u16 info | u32 timeline | u64 page | u32 remaining | pad | u64 system_identifier | …
//
// The offset of the checksum differs between majors, so it is found, not known: where the bytes before it prove it.
import { randomBytes } from 'node:crypto';
import { open, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { crc32c } from '@node-rs/crc32';

/** No version's ControlFileData is longer; PostgreSQL itself keeps it below one sector, so that a write is atomic. */
const CONTROL_BYTES_MAX = 512;
const SEGMENT_IDENTIFIER_OFFSET = 24;

/** Where in pg_control its checksum stands, or undefined when no offset proves itself. */
export function checksumOffset(control: Buffer): number | undefined {
  for (let offset = 64; offset + 4 <= Math.min(control.length, CONTROL_BYTES_MAX); offset += 4) {
    if (crc32c(control.subarray(0, offset)) === control.readUInt32LE(offset)) return offset;
  }
  return undefined;
}

/** An identifier as initdb makes them: seconds in the high half, randomness (initdb: microseconds and pid) below. */
function freshIdentifier(): bigint {
  return (BigInt(Math.floor(Date.now() / 1000)) << 32n) | BigInt(randomBytes(4).readUInt32LE());
}

/**
 * Writes a new system identifier into a data directory that no server uses.
 * False, with nothing changed, when its format is not understood; then only initdb can make another identity.
 */
export async function renewSystemIdentifier(dataDirectory: string): Promise<boolean> {
  const controlFile = path.join(dataDirectory, 'global', 'pg_control');
  const control = await readFile(controlFile);
  const offset = checksumOffset(control);
  if (offset === undefined) return false;
  const old = control.readBigUInt64LE(0);
  const walDirectory = path.join(dataDirectory, 'pg_wal');
  const segments = (await readdir(walDirectory)).filter((name) => /^[0-9A-F]{24}$/.test(name));
  const identifier = freshIdentifier();
  const replacement = Buffer.alloc(8);
  replacement.writeBigUInt64LE(identifier);
  for (const name of segments) {
    const file = await open(path.join(walDirectory, name), 'r+');
    try {
      const found = Buffer.alloc(8);
      await file.read(found, 0, 8, SEGMENT_IDENTIFIER_OFFSET);
      if (found.readBigUInt64LE() !== old) return false;
      // A crash here leaves a directory without its marker, which the next start throws away and copies again.
      await file.write(replacement, 0, 8, SEGMENT_IDENTIFIER_OFFSET);
    } finally {
      await file.close();
    }
  }
  control.writeBigUInt64LE(identifier, 0);
  control.writeUInt32LE(crc32c(control.subarray(0, offset)), offset);
  await writeFile(controlFile, control);
  return true;
}
