import { describe, expect, it } from 'vitest';
import type { Role } from '../../../src/transaction/commit-protocol.ts';
import { firstWorld, type ModelOptions, nextWorlds, type World } from './commit-model.ts';

interface Explored {
  readonly worlds: number;
  readonly ends: number;
  readonly answers: ReadonlySet<string>;
  readonly violation: { readonly rule: string; readonly trail: readonly World[] } | null;
}

/** Walks every reachable world once; stops at the first violated rule, with the way that led there. */
function explore(options: ModelOptions): Explored {
  const seen = new Set<string>();
  const answers = new Set<string>();
  let ends = 0;
  const stack: { world: World; trail: readonly World[] }[] = [{ world: firstWorld(options), trail: [] }];
  for (let entry = stack.pop(); entry !== undefined; entry = stack.pop()) {
    const { world, trail } = entry;
    const key = JSON.stringify(world);
    if (seen.has(key)) continue;
    seen.add(key);
    const path = [...trail, world];
    const broken = violated(world);
    const next = broken === null ? nextWorlds(world, options) : [];
    const rule = broken ?? (next.length === 0 ? violatedAtEnd(world) : null);
    if (rule !== null) return { worlds: seen.size, ends, answers, violation: { rule, trail: path } };
    if (next.length === 0) {
      ends++;
      answers.add(`${world.machine === null ? 'crashed' : 'alive'}: ${world.answer}`);
    }
    for (const each of next) stack.push({ world: each, trail: path });
  }
  return { worlds: seen.size, ends, answers, violation: null };
}

function violated(world: World): string | null {
  const writers = world.shards.filter((shard) => shard.role === 'writer');
  const onTheWire = (command: string) => writers.some((shard) => shard.inbox === command || shard.zombie === command);
  if (onTheWire('commit-prepared') && world.log !== 'committed')
    return 'I4: COMMIT PREPARED before the record is committed';
  const undoing = onTheWire('rollback-prepared') || writers.some((shard) => shard.job === 'abort');
  if (undoing && world.log !== 'none') return 'I5: ROLLBACK PREPARED although a record may exist';
  if (world.answer === 'aborted' && world.log !== 'none') return 'I3: an error for a transaction that may commit';
  if (world.answer === 'aborted' && writers.some((shard) => shard.server === 'committed'))
    return 'I3: error, but committed';
  return null;
}

function violatedAtEnd(world: World): string | null {
  const servers = world.shards.filter((shard) => shard.role === 'writer').map((shard) => shard.server);
  const frozen = world.machine?.phase === 'frozen';
  if (frozen) return null; // the process exits here; the crash that follows is explored on its own
  if (servers.some((server) => server === 'prepared' || server === 'open'))
    return `I9: left behind: ${servers.join(', ')}`;
  if (new Set(servers).size !== 1) return `I1: torn: ${servers.join(', ')}`;
  if (world.answer === 'committed' && servers[0] !== 'committed') return 'I2: told committed, but is not';
  if (world.answer === 'aborted' && servers[0] !== 'aborted') return 'I3: told aborted, but is not';
  if (world.machine !== null && world.answer === null) return 'I9: the client never got an answer';
  if (world.machine !== null && world.forgotten === null) return 'I9: the transaction is driven for ever';
  return null;
}

const cases: readonly { name: string; roles: readonly Role[]; losses: number }[] = [
  { name: 'two writers, any number of lost connections', roles: ['writer', 'writer'], losses: 4 },
  { name: 'two writers and a reader, one lost connection', roles: ['writer', 'reader', 'writer'], losses: 1 },
  { name: 'three writers, one lost connection', roles: ['writer', 'writer', 'writer'], losses: 1 },
];

describe('every schedule of a two-phase commit, with a crash at every point', () => {
  it.each(cases)('keeps I1–I5 and ends: $name', ({ roles, losses }) => {
    const explored = explore({ roles, losses, fence: true });
    expect(explored.violation).toBeNull();
    // The premise: it really was everywhere.
    expect(explored.worlds).toBeGreaterThan(1000);
    for (const answer of ['alive: committed', 'alive: aborted', 'alive: unknown', 'crashed: null']) {
      expect(explored.answers).toContain(answer);
    }
  });

  it('PgDog 9: without fencing, a PREPARE that its ROLLBACK PREPARED overtook stays for ever, and the model finds it', () => {
    const explored = explore({ roles: ['writer', 'writer'], losses: 2, fence: false });
    expect(explored.violation?.rule).toMatch(/^I9: left behind/);
  });

  it('finds COMMIT PREPARED that leaves before the decision is committed', () => {
    const early: ModelOptions['sabotage'] = (effects) =>
      effects.some((effect) => effect.kind === 'decide')
        ? [...effects, { kind: 'commit-prepared', participant: 0 }]
        : effects;
    expect(explore({ roles: ['writer', 'writer'], losses: 0, fence: true, sabotage: early }).violation?.rule).toMatch(
      /^I4/,
    );
  });

  it('finds a rollback of what others prepared after the log failed', () => {
    const tidy: ModelOptions['sabotage'] = (effects, state) =>
      state.phase === 'frozen' ? [...effects, { kind: 'hand-over', participant: 0, decision: 'abort' }] : effects;
    expect(explore({ roles: ['writer', 'writer'], losses: 0, fence: true, sabotage: tidy }).violation?.rule).toMatch(
      /^I5/,
    );
  });

  it('finds an error that is told for a transaction that will commit (PgDog 16)', () => {
    const pessimist: ModelOptions['sabotage'] = (effects) =>
      effects.map((effect) =>
        effect.kind === 'answer' && effect.answer.kind === 'unknown'
          ? { kind: 'answer', answer: { kind: 'aborted', error: { severity: 'ERROR', code: 'XX000', message: '' } } }
          : effect,
      );
    const explored = explore({ roles: ['writer', 'writer'], losses: 2, fence: true, sabotage: pessimist });
    expect(explored.violation?.rule).toMatch(/^I3/);
  });
});
