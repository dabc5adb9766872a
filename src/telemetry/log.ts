// The process's log: JSON lines on standard error; standard output belongs to commands.
import { destination, type Logger, pino } from 'pino';

export type { Logger };
export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** A logger; fields of `base` stand in every line. Written synchronously, so that a dying process has said why. */
export function createLog(level: LogLevel, base: Record<string, string> = {}): Logger {
  return pino({ level, base }, destination({ dest: 2, sync: true }));
}
