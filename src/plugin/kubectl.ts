// Everything the plugin does goes through kubectl itself: whatever a kubeconfig can say (contexts, exec, proxies, impersonation) holds
// here too, and the API server's audit log shows the person.
import { type ChildProcess, spawn } from 'node:child_process';
import { PluginError } from './plugin-error.ts';

export interface KubectlFlags {
  readonly namespace?: string | undefined;
  readonly context?: string | undefined;
  readonly kubeconfig?: string | undefined;
}

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class Kubectl {
  readonly #flags: readonly string[];

  constructor({ namespace, context, kubeconfig }: KubectlFlags) {
    this.#flags = [
      ...(namespace === undefined ? [] : ['--namespace', namespace]),
      ...(context === undefined ? [] : ['--context', context]),
      ...(kubeconfig === undefined ? [] : ['--kubeconfig', kubeconfig]),
    ];
  }

  /** Runs a command to its end; resolves with whatever came of it. Rejects with PluginError when there is no kubectl. */
  run(args: readonly string[], stdin = ''): Promise<Outcome> {
    const child = this.spawn(args, ['pipe', 'pipe', 'pipe']);
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout?.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr?.on('data', (chunk: Buffer) => stderr.push(chunk));
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(stdin);
    return new Promise((resolve, reject) => {
      child.on('error', (error) => reject(new PluginError(`kubectl cannot be run: ${error.message}`)));
      child.on('close', (code) => {
        const text = (chunks: readonly Buffer[]) => Buffer.concat(chunks).toString('utf8');
        resolve({ code: code ?? 1, stdout: text(stdout), stderr: text(stderr) });
      });
    });
  }

  /** The standard output of a command that must succeed; rejects with its own words. */
  async output(args: readonly string[], stdin?: string): Promise<string> {
    const { code, stdout, stderr } = await this.run(args, stdin);
    if (code !== 0) throw new PluginError(stderr.trim() || `kubectl ${args[0]} ended with exit code ${code}`);
    return stdout;
  }

  async json<Shape>(args: readonly string[]): Promise<Shape> {
    return JSON.parse(await this.output([...args, '--output', 'json'])) as Shape;
  }

  /** A command whose streams are the person's own; resolves with the exit code. */
  attached(args: readonly string[]): Promise<number> {
    const child = this.spawn(args, ['inherit', 'inherit', 'inherit']);
    return new Promise((resolve, reject) => {
      child.on('error', (error) => reject(new PluginError(`kubectl cannot be run: ${error.message}`)));
      child.on('close', (code) => resolve(code ?? 1));
    });
  }

  spawn(args: readonly string[], stdio: readonly ('pipe' | 'ignore' | 'inherit')[]): ChildProcess {
    return spawn('kubectl', [...this.#flags, ...args], { stdio: [...stdio] });
  }
}
