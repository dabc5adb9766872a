// Builds the programs that are not in the cache yet, one module at a time, and says how it goes; a half-built folder is never used.
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { CommandFailed, run, tryRun } from './command.ts';
import type { Folders } from './folders.ts';
import { withLock } from './identity.ts';
import { ensurePackages, FOR_RUNC, RUNC_RUNS } from './packages.ts';
import {
  buildArguments,
  CLUSTER_RECIPES,
  MODULES_FOLDER,
  type ModuleName,
  type ProgramRecipe,
  programKey,
  RECIPES,
  type Recipe,
} from './programs.ts';
import type { Report } from './report.ts';

/** Longest silence while a module builds. */
const HEARTBEAT_MS = 15_000;

/** Where each program is: `program('kubelet')`, or a module's folder for those that are looked up by name. */
export interface Programs {
  /** Absolute path of a program. */
  program(name: string): string;
  /** The folder of one module's programs. */
  folder(module: ModuleName): string;
  /** A PATH with every program before the system's own. */
  readonly searchPath: string;
}

/** Finds the programs of a bare cluster in the cache and builds the missing ones. Rejects with {@link CommandFailed} when Go does. */
export async function ensurePrograms(folders: Folders, report: Report): Promise<Programs> {
  await ensurePackages(RUNC_RUNS, report);
  return ensureRecipes(CLUSTER_RECIPES, folders, report);
}

/** The same for some modules, e.g. one that no cluster needs. */
export async function ensureRecipes(
  recipes: readonly ProgramRecipe[],
  folders: Folders,
  report: Report,
): Promise<Programs> {
  // Without GOTOOLCHAIN in the environment, go itself fetches the toolchain that a go.mod asks for.
  const toolchain = await run(['go', 'env', 'GOVERSION', 'GOOS', 'GOARCH'], { cwd: path.join(MODULES_FOLDER, 'kube') });
  const places = recipes.map((recipe) => ({
    recipe,
    folder: path.join(folders.cache, 'programs', `${recipe.module}-${programKey(recipe, toolchain)}`),
  }));
  const missing = places.filter(({ folder }) => !existsSync(folder));
  if (missing.length > 0) {
    report.step(`building ${missing.length} of ${places.length} modules with Go; kept in ${folders.cache}/programs`);
    if (missing.some(({ recipe }) => 'cgo' in recipe)) await ensurePackages(FOR_RUNC, report);
    const lock = path.join(folders.cache, 'programs.lock');
    const waiting = () => report.step('another build is running; waiting for it');
    await withLock(lock, waiting, async () => {
      for (const [index, { recipe, folder }] of missing.entries()) {
        if (!existsSync(folder)) await build(recipe, folder, `${index + 1} of ${missing.length}`, report);
      }
    });
  }
  return programsIn(new Map(places.map(({ recipe, folder }) => [recipe.module, folder])));
}

/** Programs of every module from their folders. */
export function programsIn(folderOf: ReadonlyMap<ModuleName, string>): Programs {
  const folder = (module: ModuleName): string => {
    const found = folderOf.get(module);
    if (found === undefined) throw new Error(`no folder for module ${module}`);
    return found;
  };
  return {
    folder,
    program: (name) => {
      const recipe = RECIPES.find(({ programs }) => programs.some((program) => program === name));
      if (recipe === undefined) throw new Error(`no module builds ${name}`);
      return path.join(folder(recipe.module), name);
    },
    searchPath: [...folderOf.values(), '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'].join(':'),
  };
}

async function build(recipe: Recipe, folder: string, place: string, report: Report): Promise<void> {
  const unfinished = `${folder}.unfinished`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(unfinished, { recursive: true });
  const goMod = readFileSync(path.join(MODULES_FOLDER, recipe.module, 'go.mod'), 'utf8');
  const argv = ['go', ...buildArguments(recipe, goMod, unfinished)];
  let downloads = 0;
  const since = performance.now();
  const progress = () => {
    const seconds = Math.round((performance.now() - since) / 1000);
    report.step(`  ${recipe.module} (${place}): ${seconds} s, ${downloads} modules downloaded`);
  };
  const heartbeat = setInterval(progress, HEARTBEAT_MS);
  try {
    const outcome = await tryRun(argv, {
      cwd: path.join(MODULES_FOLDER, recipe.module),
      env: { CGO_ENABLED: recipe.cgo === true ? '1' : '0', GOFLAGS: '-mod=readonly' },
      onStderr: (text) => {
        downloads += text.split('go: downloading').length - 1;
      },
    });
    if (outcome.code !== 0) throw new CommandFailed(argv, outcome);
  } finally {
    clearInterval(heartbeat);
  }
  const absent = recipe.programs.filter((program) => !existsSync(path.join(unfinished, program)));
  if (absent.length > 0) throw new Error(`${recipe.module}: go build left no ${absent.join(', ')}`);
  // A crash before this rename leaves a folder that the next build removes; after it the programs are whole.
  renameSync(unfinished, folder);
  progress();
}
