import { describe, expect, it } from 'vitest';
import {
  GID_BYTES_MAX,
  gidPrefix,
  parseGid,
  parseOwnerName,
  parseTransactionId,
  renderGid,
  renderOwnerName,
  renderTransactionId,
  transactionKey,
} from '../../../src/transaction/gid.ts';

const transaction = { cluster: 'k3x9q', instance: 'proxy-0', epoch: 1789, seq: 42 };
const participants = [
  { shard: 'shard-0', xid: '7341', timeline: 1 },
  { shard: 'shard-2', xid: '18446744073709551615', timeline: 3 },
];

describe('transaction ids', () => {
  it('render as users see them and parse back', () => {
    expect(renderTransactionId(transaction)).toBe('k3x9q:proxy-0.1789.42');
    expect(parseTransactionId('k3x9q:proxy-0.1789.42')).toEqual(transaction);
    expect(transactionKey(transaction)).toBe('1789.42');
  });

  it.each(['', 'k3x9q', 'k3x9q:proxy-0.1789', 'k3x9q:proxy-0.1789.042', 'k3x9q:proxy-0.1789.42.1', 'K3X9Q:p.1.1'])(
    'refuse %j',
    (text) => expect(parseTransactionId(text)).toBeNull(),
  );
});

describe('the owner name in application_name', () => {
  it('names cluster, instance and epoch, parses back, and is never cut by PostgreSQL', () => {
    expect(renderOwnerName('k3x9q', 'proxy-0', 1789)).toBe('as1:k3x9q:proxy-0.1789');
    expect(parseOwnerName('as1:k3x9q:proxy-0.1789')).toEqual({ cluster: 'k3x9q', instance: 'proxy-0', epoch: 1789 });
    expect(renderOwnerName('a'.repeat(12), 'b'.repeat(32), 99_999_999_999).length).toBeLessThanOrEqual(63);
  });

  it.each(['psql', 'as1:', 'as1:k3x9q:proxy-0', 'as1:k3x9q:proxy-0.1789.2', 'as2:k3x9q:proxy-0.1789'])(
    'is not %j',
    (text) => expect(parseOwnerName(text)).toBeNull(),
  );
});

describe('gids', () => {
  const text = 'as1:k3x9q:proxy-0.1789.42::1/2:shard-0=7341@1,shard-2=18446744073709551615@3';

  it('are pinned byte for byte: another version must still find what this one prepared', () => {
    expect(renderGid({ transaction, index: 1, count: 2, participants })).toBe(text);
    expect(parseGid(text)).toEqual({ transaction, flags: '', index: 1, count: 2, participants, cut: false });
  });

  it('tell early acknowledgement by flag e', () => {
    const early = renderGid({ transaction, index: 0, count: 2, participants, earlyAcknowledged: true });
    expect(early).toContain('.42:e:0/2:');
    expect(parseGid(early)?.flags).toBe('e');
  });

  it('cut the participant list at 199 bytes and say so by flag t', () => {
    const many = Array.from({ length: 40 }, (_, i) => ({ shard: `shard-${i}`, xid: `${1000 + i}`, timeline: 1 }));
    const cut = renderGid({ transaction, index: 39, count: 40, participants: many });
    expect(cut.length).toBeLessThanOrEqual(GID_BYTES_MAX);
    const parsed = parseGid(cut);
    expect(parsed?.cut).toBe(true);
    expect(parsed?.flags).toBe('t');
    expect(parsed?.count).toBe(40);
    expect(parsed?.participants.length).toBeGreaterThan(5);
    expect(parsed?.participants).toEqual(many.slice(0, parsed?.participants.length));
  });

  it('fit even when every name is as long as it may be', () => {
    const longest = { cluster: 'a'.repeat(12), instance: 'b'.repeat(32), epoch: 9_999_999_999, seq: 2 ** 53 - 1 };
    const shards = ['x', 'y'].map((letter) => ({
      shard: letter.repeat(32),
      xid: '9'.repeat(20),
      timeline: 4294967295,
    }));
    const gid = renderGid({
      transaction: longest,
      index: 1,
      count: 9999,
      participants: shards,
      earlyAcknowledged: true,
    });
    expect(parseGid(gid)?.transaction).toEqual(longest);
  });

  it('PgDog 2: shards are named, so a transaction on a subset of shards keeps its names whatever the topology list says', () => {
    const subset = participants.slice(1);
    expect(renderGid({ transaction, index: 0, count: 1, participants: subset })).toContain(':0/1:shard-2=');
  });

  it.each([
    ['another product', '_pgdog_2pc_1_2'],
    ['an unknown version', text.replace('as1', 'as2')],
    ['an unknown flag', text.replace('::', ':x:')],
    ['flags out of order', text.replace('::', ':te:')],
    ['an index that is not below the count', text.replace('1/2', '2/2')],
    ['a list shorter than the count without flag t', text.replace('1/2', '1/3')],
    ['a whole list with flag t', text.replace('::', ':t:')],
    ['a leading zero', text.replace('1789', '01789')],
    ['an xid of zero', text.replace('7341', '0')],
    ['upper case', text.replace('shard-0', 'Shard-0')],
    ['something behind the end', `${text},`],
    ['a further field', `${text}:x`],
    ['no participant list', 'as1:k3x9q:proxy-0.1789.42::1/2'],
  ])('are foreign: %s', (_what, foreign) => expect(parseGid(foreign)).toBeNull());

  it('have a prefix that no other cluster or instance shares and no LIKE metacharacter', () => {
    expect(text.startsWith(gidPrefix('k3x9q', 'proxy-0'))).toBe(true);
    expect(text.startsWith(gidPrefix('k3x9q'))).toBe(true);
    expect(text.startsWith(gidPrefix('k3x9q', 'proxy-'))).toBe(false);
    expect(text.startsWith(gidPrefix('k3x9'))).toBe(false);
    expect(text).not.toMatch(/[_%'"\\]/);
  });
});
