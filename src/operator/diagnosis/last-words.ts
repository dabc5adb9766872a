// What a container said before it ended, out of the end of its log (terminationMessagePolicy FallbackToLogsOnError). Pure.

/** More would not fit a condition that people read. */
const WORDS_MAX = 400;

/** FATAL and PANIC lines of PostgreSQL and of the bootstrap script; what stands before the level is the prefix of the log. */
const SEVERE = /\b(FATAL|PANIC):\s+(.*)$/;
/**
 * What a session is told, behind user and database as log_line_prefix of ours has them: a client that is sent away while the
 * server recovers or ends says nothing about why it ended. Only a PANIC takes the server with it.
 */
const TOLD_TO_A_CLIENT = /\] \S+@\S+ .*\bFATAL:/;
const EXPLAINS = /\b(?:DETAIL|HINT):\s+(.*)$/;
/** Programs such as initdb. */
const ERROR = /\b(?:error|ERROR):\s+(.*)$/;

/** The line that says why a PostgreSQL container ended, with its DETAIL or HINT; undefined when none does. */
export function postgresLastWords(log: string): string | undefined {
  const lines = log.split('\n').map((line) => line.trim());
  const own = lines.findLastIndex((line) => SEVERE.test(line) && !TOLD_TO_A_CLIENT.test(line));
  const at = own >= 0 ? own : lines.findLastIndex((line) => SEVERE.test(line));
  if (at < 0) {
    const error = lines.findLast((line) => ERROR.test(line));
    return error === undefined ? undefined : short(ERROR.exec(error)?.[1] ?? error);
  }
  const [, , said = ''] = SEVERE.exec(lines[at] ?? '') ?? [];
  // "contains errors" names the file only; the line before it names the setting.
  const cause = said.startsWith('configuration file') ? logLineBefore(lines, at) : undefined;
  const explained = EXPLAINS.exec(lines[at + 1] ?? '')?.[1];
  return short([cause, said, explained].filter((part) => part !== undefined && part !== '').join('; '));
}

function logLineBefore(lines: readonly string[], at: number): string | undefined {
  return /\bLOG:\s+(.*)$/.exec(lines[at - 1] ?? '')?.[1];
}

const PROXY_PREFIX = 'atomshard proxy: ';

/** The sentence with which a proxy ended: what it wrote in plain text, else the message of its last error line in JSON. */
export function proxyLastWords(log: string): string | undefined {
  const at = log.lastIndexOf(PROXY_PREFIX);
  if (at >= 0) {
    // A stack trace may follow an unexpected error; it is for the log.
    const [sentence = ''] = log.slice(at + PROXY_PREFIX.length).split(/\n\s+at /);
    return short(sentence.trim().replaceAll(/\s*\n\s*/g, '; '));
  }
  const errors = log.split('\n').flatMap(errorOfLine);
  const last = errors.at(-1);
  return last === undefined ? undefined : short(last);
}

const LEVEL_ERROR = 50;

function errorOfLine(line: string): string[] {
  if (!line.startsWith('{')) return [];
  try {
    const { level, msg, err } = JSON.parse(line) as { level?: number; msg?: string; err?: { message?: string } };
    if ((level ?? 0) < LEVEL_ERROR) return [];
    const parts = [msg, err?.message].filter((part) => part !== undefined && part !== '');
    return parts.length === 0 ? [] : [[...new Set(parts)].join(': ')];
  } catch {
    // The kubelet cut the line in the middle.
    return [];
  }
}

/** Without what changes from try to try, so that the same fault has the same words: times, and process ids in names of files. */
function short(text: string): string {
  const stable = text
    .replaceAll(/\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?(?: ?[A-Z]{3,4}|Z)?/g, '')
    .replaceAll(/\bxlogtemp\.\d+/g, 'xlogtemp')
    .replaceAll(/\s+/g, ' ')
    .trim();
  return stable.length <= WORDS_MAX ? stable : `${stable.slice(0, WORDS_MAX - 1)}…`;
}
