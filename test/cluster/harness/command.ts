// Runs other programs: argument lists only (no shell), output captured, and a failure that says what was run and what it said.
import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import path from 'node:path';

export interface CommandOptions {
  readonly cwd?: string;
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Written to standard input, which is then closed. */
  readonly input?: string;
  readonly timeoutMs?: number;
  /** Called with every piece of standard error as it comes, for progress. */
  readonly onStderr?: (text: string) => void;
}

export interface CommandOutcome {
  /** Exit code, or -1 when a signal ended it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class CommandFailed extends Error {
  override readonly name = 'CommandFailed';
  readonly outcome: CommandOutcome;

  constructor(argv: readonly string[], outcome: CommandOutcome) {
    const said = (outcome.stderr.trim() || outcome.stdout.trim()).slice(-2000);
    super(`\`${argv.join(' ').slice(0, 300)}\` ended with ${outcome.code}: ${said}`);
    this.outcome = outcome;
  }
}

/** Runs `argv` to its end; a non-zero exit is a value, a program that is not there rejects. */
export function tryRun(argv: readonly string[], options: CommandOptions = {}): Promise<CommandOutcome> {
  const [program = '', ...rest] = argv;
  return new Promise((resolve, reject) => {
    const child = spawn(program, rest, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: options.timeoutMs,
      killSignal: 'SIGKILL',
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
      options.onStderr?.(text);
    });
    child.once('error', (cause) => reject(new Error(`cannot run ${program}`, { cause })));
    child.once('close', (code) => resolve({ code: code ?? -1, stdout, stderr }));
    // A program that never reads its input closes the pipe early; its exit code says the rest.
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input ?? '');
  });
}

/** Runs `argv` and returns its standard output; rejects with {@link CommandFailed} unless it exits with 0. */
export async function run(argv: readonly string[], options: CommandOptions = {}): Promise<string> {
  const outcome = await tryRun(argv, options);
  if (outcome.code !== 0) throw new CommandFailed(argv, outcome);
  return outcome.stdout;
}

/** Where `program` lies on the PATH, or undefined. */
export function onPath(program: string, searchPath = process.env.PATH ?? ''): string | undefined {
  for (const folder of [...searchPath.split(':'), '/usr/sbin', '/sbin']) {
    const file = path.join(folder, program);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // Not here; the next folder may have it.
    }
  }
  return undefined;
}
