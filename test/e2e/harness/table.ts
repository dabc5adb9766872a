// The table at the end: one line for each scenario, the sums, and the numbers that people ask for; pure.
import type { RoundResult } from './round.ts';
import { runsOf } from './round.ts';

const COLUMNS = [
  'scenario',
  'rounds',
  'kills',
  'in doubt',
  'half',
  'committed',
  'rolled back',
  'by hand',
  'resolved ms',
  'healthy ms',
  'pause ms',
  'lost',
  'torn',
  'wrong',
] as const;

type Row = Record<(typeof COLUMNS)[number], string>;

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

/** `median / max`, or nothing. */
export function spread(values: readonly number[]): string {
  if (values.length === 0) return '';
  const sorted = values.toSorted((a, b) => a - b);
  const median = sorted[Math.floor((sorted.length - 1) / 2)];
  const max = sorted.at(-1);
  return median === max ? String(median) : `${median} / ${max}`;
}

function rowOf(name: string, rounds: readonly RoundResult[]): Row {
  const runs = rounds.flatMap(({ reckoning }) => runsOf(reckoning));
  const verdicts = rounds.flatMap(({ reckoning }) => reckoning?.verdict ?? []);
  const pauses = rounds.flatMap(
    ({ reckoning }) => reckoning?.faults.flatMap(({ pauses: each }) => each?.worstMs ?? []) ?? [],
  );
  return {
    scenario: name,
    rounds: String(rounds.length),
    kills: String(sum(rounds.flatMap(({ faults }) => faults.map(({ kills }) => kills)))),
    'in doubt': String(sum(runs.map(({ ends }) => Object.keys(ends).length))),
    half: String(sum(runs.map(({ halfCommitted }) => halfCommitted))),
    committed: String(sum(runs.map(({ counts }) => counts.committed))),
    'rolled back': String(sum(runs.map(({ counts }) => counts.rolledBack))),
    'by hand': String(sum(rounds.flatMap(({ faults }) => faults.map(({ byHand = 0 }) => byHand)))),
    'resolved ms': spread(runs.flatMap(({ resolvedAfterMs }) => resolvedAfterMs ?? [])),
    'healthy ms': spread(rounds.flatMap(({ healthyAfterMs }) => healthyAfterMs ?? [])),
    'pause ms': spread(pauses),
    // A reckoning looks at everything since the beginning: the largest counts, not the sum.
    lost: String(
      Math.max(
        0,
        ...verdicts.map(
          ({ acknowledgedMissing, refusedPresent }) => acknowledgedMissing.length + refusedPresent.length,
        ),
      ),
    ),
    torn: String(Math.max(0, ...verdicts.map(({ torn }) => torn.length), sum(runs.map(({ counts }) => counts.mixed)))),
    wrong: String(sum(rounds.map(({ violations }) => violations.length))),
  };
}

/** Lines of text, columns aligned, scenarios in the order in which they first ran. */
export function renderTable(rounds: readonly RoundResult[]): string {
  const byScenario = Map.groupBy(rounds, ({ scenario }) => scenario.name);
  const rows = [...byScenario].map(([name, own]) => rowOf(name, own));
  const header = Object.fromEntries(COLUMNS.map((column) => [column, column])) as Row;
  const all = [header, ...rows, rowOf('all', rounds)];
  const widths = COLUMNS.map((column) => Math.max(...all.map((row) => row[column].length)));
  const line = (row: Row) =>
    COLUMNS.map((column, index) =>
      index === 0 ? row[column].padEnd(widths[index] ?? 0) : row[column].padStart(widths[index] ?? 0),
    ).join('  ');
  const rule = widths.map((width) => '-'.repeat(width)).join('  ');
  return [line(header), rule, ...rows.map(line), rule, line(rowOf('all', rounds))].join('\n');
}
