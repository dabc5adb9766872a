// Why a container ended, and what to do: PostgreSQL's by its last FATAL line, a proxy's by its exit code and last sentence. Pure.
import type { Terminated } from './children.ts';
import { postgresLastWords, proxyLastWords } from './last-words.ts';
import type { ProblemReason } from './problem.ts';

export interface Ending {
  readonly reason: ProblemReason;
  readonly message: string;
}

type Rule = readonly [words: RegExp, reason: ProblemReason, advice: string];

/** What PostgreSQL (or the bootstrap script) says, what that is, and what to do. The first that matches. */
const POSTGRES_RULES: readonly Rule[] = [
  [
    /No space left on device|disk full/i,
    'VolumeFull',
    'enlarge spec.shards.storage.size (a volume grows where its StorageClass allows it)',
  ],
  [
    /major version cannot change|initialized by PostgreSQL version|incompatible with server/i,
    'MajorVersionChanged',
    'write an image of the former major version into spec.postgres.image',
  ],
  [
    /was not made by AtomShard|not a data directory of PostgreSQL|exists but is not empty/i,
    'ForeignDataDirectory',
    'the operator never touches data that it did not make: give the shard an empty volume',
  ],
  [
    /maximum number of prepared transactions reached/i,
    'ParametersRefused',
    'more is prepared there than max_prepared_transactions allows: write at least the former number into spec.twoPhaseCommit.maxPreparedTransactions',
  ],
  [
    /could not map anonymous shared memory|Cannot allocate memory|could not resize shared memory/i,
    'ParametersRefused',
    'lower shared_buffers in spec.postgres.parameters, or raise spec.shards.resources.limits.memory',
  ],
  [
    /unrecognized configuration parameter|invalid value for parameter|is outside the valid range|configuration file .*contains errors|could not access file ".*": No such file|invalid configuration parameter|could not load library/i,
    'ParametersRefused',
    'correct spec.postgres.parameters (or use an image that has the library)',
  ],
  [
    /could not load server certificate|private key file|could not load root certificate/i,
    'SecretIncomplete',
    'correct the certificate in the Secret of spec.postgres.tls',
  ],
];

/** How a shard's container ended. */
export function postgresEnding(ended: Terminated): Ending {
  const memory = outOfMemory(ended, 'spec.shards.resources.limits.memory, or lower shared_buffers and work_mem');
  if (memory !== undefined) return memory;
  const words = postgresLastWords(ended.message ?? '');
  const log = ended.message ?? '';
  const rule = POSTGRES_RULES.find(([pattern]) => pattern.test(words ?? log));
  const how = `PostgreSQL ends with exit code ${ended.exitCode}`;
  if (rule === undefined) {
    const message = words === undefined ? `${how}; see kubectl logs --previous` : `${how}: ${words}`;
    return { reason: 'CrashLoop', message };
  }
  const [, reason, advice] = rule;
  return { reason, message: `${how}: ${words ?? firstMatch(log, rule)}; ${advice}` };
}

function firstMatch(log: string, [pattern]: Rule): string {
  return (
    log
      .split('\n')
      .findLast((line) => pattern.test(line))
      ?.trim() ?? ''
  );
}

/** The exit codes of docs/CONFIGURATION.md. */
const EXIT = { configuration: 2, logRefused: 3, logFailed: 4 } as const;

/** How a proxy's container ended. */
export function proxyEnding(ended: Terminated): Ending {
  const memory = outOfMemory(ended, 'spec.proxy.resources.limits.memory');
  if (memory !== undefined) return memory;
  const words = proxyLastWords(ended.message ?? '');
  const said = words === undefined ? '' : `: ${words}`;
  switch (ended.exitCode) {
    case EXIT.configuration:
      return { reason: 'ConfigurationRefused', message: `The proxy refuses its configuration${said}` };
    case EXIT.logRefused:
      return words?.includes('in use by') === true
        ? {
            reason: 'LogLocked',
            message: `The proxy's log is held by another process${said}; it starts when that one ends`,
          }
        : {
            reason: 'LogDamaged',
            message: `The proxy's log is damaged${said}; look with kubectl atomshard wal verify, and see docs/RECOVERY.md`,
          };
    case EXIT.logFailed:
      return /ENOSPC|EDQUOT|No space left/i.test(ended.message ?? '')
        ? { reason: 'VolumeFull', message: `The proxy's log has no room${said}; enlarge spec.proxy.wal.size` }
        : { reason: 'LogFailed', message: `Writing the proxy's log failed${said}; look at the volume's disk` };
    default:
      return {
        reason: 'CrashLoop',
        message: `The proxy ends with exit code ${ended.exitCode}${said === '' ? '; see kubectl logs --previous' : said}`,
      };
  }
}

function outOfMemory({ reason }: Terminated, where: string): Ending | undefined {
  if (reason !== 'OOMKilled') return undefined;
  return {
    reason: 'OutOfMemory',
    message: `The container was killed because it used more memory than it may; raise ${where}`,
  };
}
