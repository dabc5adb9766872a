// docs/CONDITIONS.md shows the conditions and problems that the code has.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { judge } from '../../../../src/operator/cluster/conditions.ts';
import { PROBLEM_MEANING } from '../../../../src/operator/diagnosis/problem.ts';
import { seenCluster } from '../cluster/seen-cluster.ts';

const DOCUMENT = readFileSync(path.resolve(import.meta.dirname, '../../../../docs/CONDITIONS.md'), 'utf8');

/** The rows of the table whose header is `header`, as cells. */
function tableUnder(header: string): string[][] {
  const [, after = ''] = DOCUMENT.split(`${header}\n`);
  const lines = after.split('\n').slice(1);
  return lines
    .slice(0, lines.indexOf(''))
    .map((line) => line.split(' | ').map((cell) => cell.replaceAll(/^\| | \|$/g, '')));
}

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
