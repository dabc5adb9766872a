// Helm with one cluster's kubeconfig: the one on the PATH, else one built from its Go module like the programs of the bare cluster.
import { ensureRecipes } from './build.ts';
import { type CommandOptions, type CommandOutcome, onPath, run, tryRun } from './command.ts';
import type { Folders } from './folders.ts';
import { RECIPES } from './programs.ts';
import type { Report } from './report.ts';

/** The path of a helm of version 4, whose flags the tests use. Rejects when it has to be built and Go fails. */
export async function ensureHelm(folders: Folders, report: Report): Promise<string> {
  const found = onPath('helm');
  if (found !== undefined && (await run([found, 'version', '--short'])).startsWith('v4.')) return found;
  const recipes = RECIPES.filter(({ module }) => module === 'helm');
  return (await ensureRecipes(recipes, folders, report)).program('helm');
}

export class Helm {
  readonly #program: string;
  readonly #kubeconfig: string;
  readonly #namespace: string;

  constructor(program: string, kubeconfig: string, namespace: string) {
    this.#program = program;
    this.#kubeconfig = kubeconfig;
    this.#namespace = namespace;
  }

  /** Standard output; rejects with CommandFailed unless helm exits with 0. */
  run(args: readonly string[], options: CommandOptions = {}): Promise<string> {
    return run(this.#argv(args), options);
  }

  /** The outcome whatever it is, for commands that shall be refused. */
  try(args: readonly string[], options: CommandOptions = {}): Promise<CommandOutcome> {
    return tryRun(this.#argv(args), options);
  }

  #argv(args: readonly string[]): string[] {
    return [this.#program, '--kubeconfig', this.#kubeconfig, '--namespace', this.#namespace, ...args];
  }
}
