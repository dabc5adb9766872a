// Which published version of the binaries is the newest of a major.
import { describe, expect, it } from 'vitest';
import { newestOfMajor } from '../../../src/dev/postgres-package.ts';

describe('the newest version of a major', () => {
  it('compares numbers as numbers, also in the counter of a beta', () => {
    const versions = [
      '16.9.0-beta.15',
      '16.10.0-beta.2',
      '16.10.0-beta.16',
      '16.9.0-beta.16',
      '17.5.0-beta.15',
      '1.16.0',
    ];
    expect(newestOfMajor(versions, 16)).toBe('16.10.0-beta.16');
    expect(newestOfMajor(versions, 17)).toBe('17.5.0-beta.15');
  });

  it('is none where the major was never published', () => {
    expect(newestOfMajor(['16.9.0-beta.15'], 13)).toBeUndefined();
    expect(newestOfMajor([], 16)).toBeUndefined();
  });
});
