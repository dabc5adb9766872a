// When a task in SQL is begun, and when it is not yet.
import { describe, expect, it } from 'vitest';
import { type ProgramTask, ProgramTasks } from '../../../../src/operator/cluster/program-tasks.ts';
import type { Asked, SqlTarget } from '../../../../src/operator/sql/facts.ts';
import { ManualClock } from '../../../support/manual-clock.ts';

const target: SqlTarget = {
  ...{ name: 'proxy-0', host: '', port: 0, database: '', user: '', password: '' },
  tls: { kind: 'disable' },
};
const command = (what: 'RELOAD' | 'DRAIN'): ProgramTask => ({ kind: 'commandProxy', target, command: what });

function world() {
  const clock = new ManualClock();
  const asked: string[] = [];
  const reply: { now: Asked<unknown> } = { now: { kind: 'answer', value: undefined } };
  const ask = (what: string) => async () => {
    asked.push(what);
    return reply.now;
  };
  const sql = {
    setUpShard: async () => ({ kind: 'answer', value: { changed: [], problems: [] } }) as never,
    reloadShard: ask('reload shard'),
    commandProxy: (_target: SqlTarget, what: string) => ask(what)(),
  };
  const tasks = new ProgramTasks({ clock, sql, onEnd: () => undefined });
  return { clock, asked, reply, tasks };
}

describe('tasks', () => {
  it('of one server run one at a time, and the same one not again at once', async () => {
    const { clock, asked, tasks } = world();
    tasks.start('ns/one', command('RELOAD'));
    tasks.start('ns/one', command('DRAIN'));
    await clock.pass(0);
    expect(asked).toEqual(['RELOAD']);
    tasks.start('ns/one', command('RELOAD'));
    tasks.start('ns/one', { kind: 'reloadShard', target });
    await clock.pass(0);
    expect(asked).toEqual(['RELOAD', 'reload shard']);
    await clock.pass(999);
    tasks.start('ns/one', command('RELOAD'));
    tasks.start('ns/two', command('RELOAD'));
    await clock.pass(1);
    expect(asked).toEqual(['RELOAD', 'reload shard', 'RELOAD']);
    tasks.start('ns/one', command('RELOAD'));
    await clock.pass(0);
    expect(asked.slice(3)).toEqual(['RELOAD']);
  });

  it('leave a server alone for a while that failed, whatever is wanted of it', async () => {
    const { clock, asked, reply, tasks } = world();
    reply.now = { kind: 'failed', failure: { kind: 'unreachable', message: 'no route' } as never };
    tasks.start('ns/one', command('RELOAD'));
    await clock.pass(4_999);
    tasks.start('ns/one', command('DRAIN'));
    await clock.pass(1);
    expect(asked).toEqual(['RELOAD']);
    tasks.start('ns/one', command('DRAIN'));
    tasks.forget('ns/one');
    await clock.pass(0);
    expect(asked).toEqual(['RELOAD', 'DRAIN']);
  });
});
