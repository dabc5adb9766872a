// docs/RECOVERY.md tells whoever is on call what each reason of a condition means: all of them, and none that the code does not have.
import { describe, expect, it } from 'vitest';
import { CONDITION_REASONS } from '../../../../src/operator/recovery/conditions.ts';
import { documentTable } from '../../../support/document-table.ts';

describe('docs/RECOVERY.md', () => {
  it('explains every reason that a condition of recovery can have when it is not well, and says what to do', () => {
    const rows = documentTable('RECOVERY.md', '| condition | reason | what it means | what to do |');
    const told = rows.map(([condition, reason]) => `${condition} ${reason}`);
    expect(told.toSorted()).toEqual([...CONDITION_REASONS].toSorted());
    expect(rows.filter(([, , , advice]) => (advice ?? '').length < 10)).toEqual([]);
  });
});
