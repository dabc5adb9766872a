// Recovery in numbers: added up where it happens, read when somebody scrapes.
import { Counter, Gauge, type Registry } from 'prom-client';
import type { RunOutcome } from './instance-run.ts';
import type { RecoveryFindings } from './types.ts';

interface Standing {
  readonly inDoubt: number;
  readonly held: number;
  readonly oldestMs: number | null;
}

export class RecoveryTally {
  readonly runs = { passed: 0, blocked: 0 };
  readonly ended = { committed: 0, rolledBack: 0 };
  /** By `namespace/name`, as the last step saw it. */
  readonly standing = new Map<string, Standing>();

  ran(outcome: RunOutcome): void {
    this.runs[outcome.kind] += 1;
    if (outcome.kind === 'blocked') return;
    this.ended.committed += outcome.pass.committed;
    this.ended.rolledBack += outcome.pass.rolledBack;
  }

  found(clusterKey: string, { inDoubt, held }: Pick<RecoveryFindings, 'inDoubt' | 'held'>): void {
    this.standing.set(clusterKey, { inDoubt: inDoubt.count, held: held.length, oldestMs: inDoubt.oldestMs });
  }
}

/** Puts the numbers where the operator is scraped. `nowMs`: wall time. */
export function registerRecoveryMetrics(registry: Registry, tally: RecoveryTally, nowMs: () => number): void {
  const registers = [registry];
  counter('atomshard_operator_recovery_runs_total', 'Attempts to recover for a proxy that is away.', 'outcome', () => [
    ['passed', tally.runs.passed],
    ['blocked', tally.runs.blocked],
  ]);
  counter('atomshard_operator_recovered_transactions_total', 'Transactions that the operator ended.', 'end', () => [
    ['committed', tally.ended.committed],
    ['rolled_back', tally.ended.rolledBack],
  ]);
  const ageOf = ({ oldestMs }: Standing) => (oldestMs === null ? 0 : Math.max(0, nowMs() - oldestMs) / 1_000);
  gauge('atomshard_operator_in_doubt_transactions', 'Transactions whose end is not known yet.', (one) => one.inDoubt);
  gauge('atomshard_operator_held_transactions', 'Transactions that wait for a person.', (one) => one.held);
  gauge('atomshard_operator_in_doubt_age_seconds', 'Since the oldest of them was prepared.', ageOf);

  function counter(
    name: string,
    help: string,
    label: string,
    read: () => readonly (readonly [string, number])[],
  ): void {
    new Counter({
      ...{ name, help, registers, labelNames: [label] },
      collect() {
        this.reset();
        for (const [value, count] of read()) this.inc({ [label]: value }, count);
      },
    });
  }

  function gauge(name: string, help: string, read: (standing: Standing) => number): void {
    new Gauge({
      ...{ name, help, registers, labelNames: ['namespace', 'cluster'] },
      collect() {
        this.reset();
        for (const [key, standing] of tally.standing) {
          const [namespace = '', cluster = ''] = key.split('/');
          this.set({ namespace, cluster }, read(standing));
        }
      },
    });
  }
}
