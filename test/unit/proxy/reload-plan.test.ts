// What a changed configuration means, case by case.
import { describe, expect, it } from 'vitest';
import { checkProxyConfig, type ProxyConfigInput } from '../../../src/proxy/config.ts';
import { planReload } from '../../../src/proxy/reload-plan.ts';

const base: ProxyConfigInput = {
  cluster: 'test1',
  wal: { directory: '/wal' },
  authentication: { method: 'trust' },
  shards: [
    { name: 'shard-0', host: 'a' },
    { name: 'shard-1', host: 'b' },
  ],
  resolver: { user: 'postgres' },
};
const started = checkProxyConfig(base, 'test');
const plan = (change: Partial<ProxyConfigInput>) =>
  planReload(started, started, checkProxyConfig({ ...base, ...change }, 'test'));

describe('planReload', () => {
  it('finds nothing to do in the same configuration', () => {
    expect(plan({})).toEqual({ kind: 'apply', config: started, restartNeeded: [], changed: [] });
  });

  it('names what changes now by its path, lists as a whole', () => {
    const changed = plan({
      pool: { size: 3 },
      admin: { users: [{ name: 'a', password: 'b' }] },
      shards: [...base.shards.slice(0, 1), { name: 'shard-1', host: 'c' }],
    });
    expect(changed).toMatchObject({ changed: ['admin.users', 'shards', 'pool.size'], restartNeeded: [] });
  });

  it.each<[string, Partial<ProxyConfigInput>]>([
    ['listen.port', { listen: { port: 1 } }],
    ['cluster', { cluster: 'other' }],
    ['instance', { instance: 'proxy-9' }],
    ['database', { database: 'other' }],
    ['wal.directory', { wal: { directory: '/other' } }],
    ['wal.retentionMs', { wal: { directory: '/wal', retentionMs: 5 } }],
    ['http', { http: { port: 1 } }],
    ['admin.database', { admin: { database: 'other' } }],
  ])('%s waits for a restart and stays as it was', (key, change) => {
    expect(plan(change)).toEqual({ kind: 'apply', config: started, restartNeeded: [key], changed: [] });
  });

  it('still names a key that waits when another reload comes, and forgets it when it is changed back', () => {
    const first = plan({ database: 'other' });
    if (first.kind !== 'apply') throw new Error('refused');
    const again = planReload(started, first.config, checkProxyConfig({ ...base, database: 'other' }, 'test'));
    expect(again).toMatchObject({ restartNeeded: ['database'], changed: [] });
    expect(planReload(started, first.config, started)).toMatchObject({ restartNeeded: [] });
  });

  it('refuses shards that are left out, renamed or in another order; one more at the end is let through', () => {
    const [first, second] = base.shards;
    if (first === undefined || second === undefined) throw new Error('two shards');
    for (const shards of [
      [first],
      [second, first],
      [first, { ...second, name: 'other' }],
      [first, { name: 'new', host: 'c' }, second],
    ]) {
      expect(plan({ shards }), JSON.stringify(shards)).toMatchObject({ kind: 'refused' });
    }
    expect(plan({ shards: [first, second, { name: 'new', host: 'c' }] })).toMatchObject({ changed: ['shards'] });
  });

  it('refuses another number of buckets', () => {
    expect(plan({ sharding: { buckets: 2 } })).toEqual({
      kind: 'refused',
      problems: ['sharding.buckets: rows are placed by it; write 4096'],
    });
  });
});
