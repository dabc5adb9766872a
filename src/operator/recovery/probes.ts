// The shards as recovery sees them from the operator: by the superuser's login, under a name that no proxy's fence ends.
import type { Clock } from '../../kernel/clock.ts';
import { PgShardProbe } from '../../recovery/pg-shard-probe.ts';
import type { Answer, ShardProbe } from '../../recovery/shard-probe.ts';
import type { ShardTls } from '../../shard/tls.ts';
import type { SqlTarget, SqlTls } from '../sql/facts.ts';

/** In pg_stat_activity. Not the name of a run: neither a later run nor our own fence ends these connections. */
const APPLICATION_NAME = 'atomshard-operator recovery';

export type ProbeFactory = (target: SqlTarget) => ShardProbe;

export function probeFactory(clock: Clock): ProbeFactory {
  return ({ name, host, port, database, user, password, tls }) =>
    new PgShardProbe({
      ...{ shard: name, host, port, database, user, password },
      tls: shardTls(tls),
      ownerName: APPLICATION_NAME,
      clock,
    });
}

function shardTls(tls: SqlTls): ShardTls {
  switch (tls.kind) {
    case 'disable':
    case 'require':
      return { mode: tls.kind };
    case 'verify-full':
      return { mode: 'verify-full', caPem: tls.ca, serverName: tls.serverName };
  }
}

/** One probe for each shard that exists; one that cannot be logged in to now is away, and not gone. */
export function openProbes(
  shards: readonly string[],
  targets: ReadonlyMap<string, SqlTarget>,
  probeFor: ProbeFactory,
): ReadonlyMap<string, ShardProbe> {
  return new Map(
    shards.map((shard) => {
      const target = targets.get(shard);
      return [shard, target === undefined ? new AwayProbe(shard) : probeFor(target)];
    }),
  );
}

export async function closeProbes(probes: ReadonlyMap<string, ShardProbe>): Promise<void> {
  await Promise.all([...probes.values()].map((probe) => probe.close()));
}

/** A shard without an address or a known password. */
class AwayProbe implements ShardProbe {
  readonly shard: string;
  readonly #away: Answer<never>;

  constructor(shard: string) {
    this.shard = shard;
    this.#away = {
      kind: 'absent',
      cause: 'unreachable',
      why: `${shard}: it has no address, or its login is not known`,
    };
  }

  fence = (): Promise<Answer<never>> => Promise.resolve(this.#away);
  scan = (): Promise<Answer<never>> => Promise.resolve(this.#away);
  xidStatus = (): Promise<Answer<never>> => Promise.resolve(this.#away);
  timelineEnd = (): Promise<Answer<never>> => Promise.resolve(this.#away);
  terminateXid = (): Promise<Answer<never>> => Promise.resolve(this.#away);
  terminateBackend = (): Promise<Answer<never>> => Promise.resolve(this.#away);
  resolve = (): ReturnType<ShardProbe['resolve']> =>
    Promise.resolve({ kind: 'lost', lost: { reason: 'destroyed', message: `${this.shard}: away` } });
  close = (): Promise<void> => Promise.resolve();
}
