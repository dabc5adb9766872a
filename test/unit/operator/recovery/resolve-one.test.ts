// A person's verdict, carried out by an operator that is killed in the middle of it: the next one, with the same request, ends the rest.
import { describe, expect, it } from 'vitest';
import type { ResolveRequest } from '../../../../src/operator/recovery/request.ts';
import { resolveOne } from '../../../../src/operator/recovery/resolve-one.ts';
import type { LogEvidence } from '../../../../src/transaction/log-evidence.ts';
import { PretendWorld } from '../../../support/pretend-world.ts';

const LOST: LogEvidence = { kind: 'lost' };
const NONE: LogEvidence = { kind: 'none-above-watermark' };

describe('a request whose operator is killed after the first branch has ended', () => {
  it.each([
    ['commit', LOST, false, 'ccc'],
    ['abort', LOST, false, 'aaa'],
    // Against what the log says, because somebody insists: whole all the same.
    ['commit', NONE, true, 'ccc'],
  ] as const)('%s, log %o, forced %s: ends whole', async (verdict, word, force, whole) => {
    const world = new PretendWorld(3);
    const laidOut = world.layOut({ 0: 'prepared', 1: 'prepared', 2: 'prepared' }, { earlyAcknowledged: true });
    const { transaction } = laidOut;
    const request: ResolveRequest = { id: 'q1', transaction, verdict, by: 'ann', reason: 'ticket 7', force };
    const probes = (step?: (what: string) => void) =>
      new Map(world.shards.map((shard) => [shard.name, shard.probe(step)]));
    let sent = 0;
    const dies = (what: string) => {
      if (!what.includes(` ${verdict} `)) return;
      sent += 1;
      if (sent > 1) throw new Error('killed');
    };
    const killed = resolveOne(request, word, probes(dies));
    await expect(killed).rejects.toThrow('killed');
    expect(world.lives(laidOut)).toBe(`${whole[0]}pp`);
    expect(await resolveOne(request, word, probes())).toMatchObject({ outcome: 'done' });
    expect(world.lives(laidOut)).toBe(whole);
    const again = await resolveOne(request, word, probes());
    expect(again).toMatchObject({ outcome: 'done', message: expect.stringContaining('it has ended') });
  });
});
