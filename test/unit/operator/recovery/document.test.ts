// docs/RECOVERY.md tells whoever is on call what each reason of a condition means: all of them, and none that the code does not have.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { CONDITION_REASONS } from '../../../../src/operator/recovery/conditions.ts';

const DOCUMENT = readFileSync(path.resolve(import.meta.dirname, '../../../../docs/RECOVERY.md'), 'utf8');

function rowsUnder(header: string): string[][] {
  const lines = DOCUMENT.split('\n');
  const start = lines.indexOf(header);
  if (start < 0) throw new Error(`docs/RECOVERY.md has no table ${header}`);
  const body = lines.slice(start + 2);
  const end = body.findIndex((line) => !line.startsWith('|'));
  return body.slice(0, end).map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

describe('docs/RECOVERY.md', () => {
  it('explains every reason that a condition of recovery can have when it is not well, and says what to do', () => {
    const rows = rowsUnder('| condition | reason | what it means | what to do |');
    const told = rows.map(([condition, reason]) => `${condition} ${reason}`);
    expect(told.toSorted()).toEqual([...CONDITION_REASONS].toSorted());
    expect(rows.filter(([, , , advice]) => (advice ?? '').length < 10)).toEqual([]);
  });
});
