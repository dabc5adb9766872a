// Opens the decision log as the configuration says, and says what was found.
import type { Clock } from '../kernel/clock.ts';
import type { ControlPoint } from '../kernel/control-point.ts';
import type { Logger } from '../telemetry/log.ts';
import { DecisionLog } from '../transaction/decision-log.ts';
import { FileStorage } from '../wal/file-storage.ts';
import { openWal } from '../wal/wal.ts';
import type { ProxyConfig } from './config.ts';

export interface OpenDecisionsDeps {
  readonly clock: Clock;
  readonly controlPoint: ControlPoint;
  readonly log: Logger;
  /** See ProxyDeps. */
  readonly syncHook?: URL | undefined;
}

/** Locks, reads and repairs the log and takes its next epoch. Rejects as DecisionLog.open does. */
export function openDecisions(config: ProxyConfig, deps: OpenDecisionsDeps): Promise<DecisionLog> {
  const { clock, controlPoint, log, syncHook } = deps;
  const { directory, segmentBytes, reserveBytes, retentionMs, retentionBytesMax } = config.wal;
  return DecisionLog.open({
    clock,
    retentionMs,
    retentionBytesMax,
    openWal: async (onRecord) => {
      const opened = await openWal(
        {
          directory,
          segmentBytes,
          reserveBytes,
          clock,
          controlPoint,
          holder: `atomshard proxy ${config.instance}`,
          ...(syncHook === undefined ? {} : { storage: new FileStorage(directory, { syncHook }) }),
        },
        onRecord,
      );
      const { identity, repaired } = opened;
      log.info(
        { ...identity, directory, ...opened.positions },
        identity.created ? 'write-ahead log created' : 'write-ahead log opened',
      );
      if (repaired !== undefined) log.warn(repaired, 'a torn write at the end of the log was cut off; a copy was kept');
      return opened;
    },
  });
}
