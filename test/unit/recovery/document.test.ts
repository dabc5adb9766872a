// docs/RECOVERY.md shows the tables that the code has, cell by cell.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { ALARM_MEANING } from '../../../src/recovery/alarm.ts';
import { type Action, APPLY_TABLE } from '../../../src/recovery/apply-table.ts';
import { ALARM_ROWS, DECISION_ROWS } from '../../../src/recovery/decide.ts';
import { PARTICIPANT_STATES } from '../../../src/recovery/evidence.ts';

const DOCUMENT = readFileSync(path.resolve(import.meta.dirname, '../../../docs/RECOVERY.md'), 'utf8');

/** The body of the first table whose header is `header`, as cells. */
function tableUnder(header: string): string[][] {
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

const listed = (of: readonly string[] | 'any') => (of === 'any' ? 'any' : of.join(', '));
const cell = ({ kind, alarm }: Action) => (alarm === undefined ? kind : `${kind}: ${alarm}`);

describe('docs/RECOVERY.md', () => {
  it('shows the decision table of the code', () => {
    const rows = DECISION_ROWS.map(({ name, log, participants, owner, verdict, alarm }) => {
      return [name, listed(log), participants, listed(owner), verdict, alarm ?? ''];
    });
    expect(tableUnder('| row | log | participants | owner | verdict | alarm |')).toEqual(rows);
  });

  it('shows the alarms that are added to any row', () => {
    const rows = ALARM_ROWS.map(({ log, participants, alarm }) => [listed(log), participants, alarm]);
    expect(tableUnder('| log | participants | alarm |')).toEqual(rows);
  });

  it('shows what each verdict means in each state', () => {
    const rows = (['commit', 'abort'] as const).map((verdict) => {
      return [verdict, ...PARTICIPANT_STATES.map((state) => cell(APPLY_TABLE[verdict][state]))];
    });
    expect(tableUnder(`| | ${PARTICIPANT_STATES.join(' | ')} |`)).toEqual(rows);
  });

  it('explains every state and every alarm, in the code’s words, and says what to do', () => {
    expect(tableUnder('| state | meaning |').map(([state]) => state)).toEqual([...PARTICIPANT_STATES]);
    const alarms = tableUnder('| alarm | meaning | what to do |');
    expect(alarms.map(([kind, meaning]) => [kind, meaning])).toEqual(Object.entries(ALARM_MEANING));
    expect(alarms.filter(([, , advice]) => (advice ?? '').length < 10)).toEqual([]);
  });
});
