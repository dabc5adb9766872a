// kubectl with one cluster's kubeconfig, and waiting for a fact with a deadline that says what was last seen.
import { systemClock } from '../../../src/kernel/clock.ts';
import { type CommandOptions, type CommandOutcome, run, tryRun } from './command.ts';

export class DeadlinePassed extends Error {
  override readonly name = 'DeadlinePassed';
}

const POLL_MS = 100;

/** Polls `probe` until it returns a value; errors of the probe count as "not yet". Rejects with {@link DeadlinePassed}. */
export async function waitFor<Value>(
  what: string,
  timeoutMs: number,
  probe: () => Promise<Value | undefined>,
): Promise<Value> {
  const until = performance.now() + timeoutMs;
  let last: unknown;
  do {
    try {
      const value = await probe();
      if (value !== undefined) return value;
      last = undefined;
    } catch (error) {
      last = error;
    }
    await systemClock.sleep(POLL_MS);
  } while (performance.now() < until);
  throw new DeadlinePassed(`${what}: not within ${timeoutMs / 1000} s`, { cause: last });
}

export class Kubectl {
  /** Its path, for scripts. */
  readonly program: string;
  readonly kubeconfig: string;
  readonly #namespace: string | undefined;

  constructor(program: string, kubeconfig: string, namespace?: string) {
    this.program = program;
    this.kubeconfig = kubeconfig;
    this.#namespace = namespace;
  }

  /** The same cluster, with another namespace where a command names none. */
  inNamespace(namespace: string): Kubectl {
    return new Kubectl(this.program, this.kubeconfig, namespace);
  }

  /** The full argument list, for those who start kubectl themselves (port-forward). */
  argv(args: readonly string[]): string[] {
    const namespace = this.#namespace === undefined ? [] : ['--namespace', this.#namespace];
    return [this.program, '--kubeconfig', this.kubeconfig, ...namespace, ...args];
  }

  /** Standard output; rejects with CommandFailed unless kubectl exits with 0. */
  run(args: readonly string[], options: CommandOptions = {}): Promise<string> {
    return run(this.argv(args), options);
  }

  /** The outcome whatever it is, for commands that shall be refused. */
  try(args: readonly string[], options: CommandOptions = {}): Promise<CommandOutcome> {
    return tryRun(this.argv(args), options);
  }

  /** Server-side apply of a manifest's text, or of objects. */
  async apply(manifest: string | readonly object[], args: readonly string[] = []): Promise<void> {
    // A List, because older kubectls do not take several JSON documents.
    const list = { apiVersion: 'v1', kind: 'List', items: manifest };
    const input = typeof manifest === 'string' ? manifest : JSON.stringify(list);
    await this.run(['apply', '--server-side', '--force-conflicts', '-f', '-', ...args], { input });
  }

  /** One value by a JSONPath expression without braces, e.g. `.status.phase`; empty when it is absent. */
  value(resource: string, path: string): Promise<string> {
    return this.run(['get', ...resource.split(' '), '-o', `jsonpath={${path}}`]);
  }

  /** Waits until {@link Kubectl.value} satisfies `accept`, and returns it. */
  waitForValue(
    resource: string,
    path: string,
    accept: (value: string) => boolean,
    timeoutMs = 60_000,
  ): Promise<string> {
    return waitFor(`${resource} ${path}`, timeoutMs, async () => {
      const value = await this.value(resource, path);
      return accept(value) ? value : undefined;
    });
  }

  /** Waits until objects of a definition can be made. `kubectl wait` fails on one that has no conditions yet. */
  async untilEstablished(definition: string): Promise<void> {
    const path = '.status.conditions[?(@.type=="Established")].status';
    await this.waitForValue(`crd ${definition}`, path, (status) => status === 'True');
  }

  /** Waits until a resource can no longer be found. */
  async waitUntilGone(resource: string, timeoutMs = 60_000): Promise<void> {
    await waitFor(`${resource} to be gone`, timeoutMs, async () => {
      const outcome = await this.try(['get', ...resource.split(' '), '-o', 'name', '--ignore-not-found']);
      return outcome.code === 0 && outcome.stdout.trim() === '' ? true : undefined;
    });
  }
}
