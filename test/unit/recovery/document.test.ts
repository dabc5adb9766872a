// docs/RECOVERY.md shows the tables that the code has, cell by cell.
import { describe, expect, it } from 'vitest';
import { ALARM_MEANING } from '../../../src/recovery/alarm.ts';
import { type Action, APPLY_TABLE } from '../../../src/recovery/apply-table.ts';
import { ALARM_ROWS, DECISION_ROWS } from '../../../src/recovery/decide.ts';
import { PARTICIPANT_STATES } from '../../../src/recovery/evidence.ts';
import { documentTable } from '../../support/document-table.ts';

const tableUnder = (header: string) => documentTable('RECOVERY.md', header);
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
