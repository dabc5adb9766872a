// docs/CONDITIONS.md shows the conditions and problems that the code has.
import { describe, expect, it } from 'vitest';
import { judge } from '../../../../src/operator/cluster/conditions.ts';
import { PROBLEM_MEANING } from '../../../../src/operator/diagnosis/problem.ts';
import { documentTable } from '../../../support/document-table.ts';
import { seenCluster } from '../cluster/seen-cluster.ts';

const tableUnder = (header: string) => documentTable('CONDITIONS.md', header);

describe('docs/CONDITIONS.md', () => {
  it('has every reason of a problem with its meaning and what to do', () => {
    const rows = Object.entries(PROBLEM_MEANING).map(([reason, texts]) => [reason, ...texts]);
    expect(tableUnder('| reason | what is wrong | what to do |')).toEqual(rows);
  });

  it('has every condition, in the order of the status', () => {
    const conditions = tableUnder('| condition | True means |').map(([type]) => type);
    expect(conditions).toEqual(judge(seenCluster()).map(({ type }) => type));
  });
});
