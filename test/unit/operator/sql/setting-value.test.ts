// Spellings of settings that mean the same, and such that do not; the left column is what people write.
import { describe, expect, it } from 'vitest';
import { sameSetting } from '../../../../src/operator/sql/setting-value.ts';

type Row = readonly [vartype: string, unit: string | null, written: string, shown: string, same: boolean];

const ROWS: readonly Row[] = [
  ['integer', '8kB', '128MB', '16384', true],
  ['integer', '8kB', '16384', '16384', true],
  ['integer', '8kB', '131072kB', '16384', true],
  ['integer', '8kB', '0.125GB', '16384', true],
  ['integer', '8kB', '128mb', '16384', false],
  ['integer', '8kB', '1TB', '134217728', true],
  ['integer', 'kB', '4MB', '4096', true],
  ['integer', 'MB', '1GB', '1024', true],
  ['integer', 'B', '1kB', '1024', true],
  ['integer', 'ms', '90s', '90000', true],
  ['integer', 'ms', ' 1.5 min ', '90000', true],
  ['integer', 's', '1h', '3600', true],
  ['integer', 'min', '1d', '1440', true],
  ['integer', 'ms', '1500us', '2', true],
  ['integer', 'ms', '2500us', '2', true],
  ['integer', null, '0x10', '16', true],
  ['integer', null, '010', '8', true],
  ['integer', null, '10s', '10', false],
  ['integer', 'ms', 'soon', '90000', false],
  ['integer', '8kB', '-1', '-1', true],
  ['real', null, '0.50', '0.5', true],
  ['real', 'ms', '2s', '2000', true],
  ['real', null, '0.9', '0.5', false],
  ['bool', null, 'on', 'on', true],
  ['bool', null, 'TRUE', 'on', true],
  ['bool', null, 'y', 'on', true],
  ['bool', null, '0', 'off', true],
  ['bool', null, 'of', 'off', true],
  ['bool', null, 'o', 'off', false],
  ['bool', null, 'maybe', 'on', false],
  ['enum', null, 'Remote_Apply', 'remote_apply', true],
  ['enum', null, 'true', 'on', true],
  ['enum', null, 'local', 'remote_apply', false],
  ['string', null, 'a, b', 'a,b', true],
  ['string', null, '%m [%p] ', '%m [%p] ', true],
  ['string', null, 'A', 'a', false],
];

describe('two spellings of a setting', () => {
  it.each(ROWS)('%s in %s: %s and %s: %s', (vartype, unit, written, shown, same) => {
    expect(sameSetting(written, shown, { name: 'x', vartype, unit })).toBe(same);
  });

  it.each([
    ['timezone', 'utc', 'UTC'],
    ['datestyle', 'iso,mdy', 'ISO, MDY'],
    ['client_encoding', 'utf-8', 'UTF8'],
  ])('%s is shown in the server’s own spelling', (name, written, shown) => {
    expect(sameSetting(written, shown, { name, vartype: 'string', unit: null })).toBe(true);
    expect(sameSetting('other', shown, { name, vartype: 'string', unit: null })).toBe(false);
  });
});
