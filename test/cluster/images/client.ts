// The image for load jobs: psql, Node 24 and two PostgreSQL drivers, so that a test's script can be mounted and run.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { ImageRecipe } from './image.ts';
import { IMAGE_TAGS } from './names.ts';
import { clientPrograms } from './postgres.ts';
import { busyboxProgram } from './system.ts';

const DRIVERS = ['pg', 'postgres'] as const;

/** The packages that `names` need, themselves included, by their package.json files below `modules`. */
export function packageClosure(modules: string, names: readonly string[]): string[] {
  const found = new Set<string>();
  const visit = (name: string): void => {
    if (found.has(name)) return;
    found.add(name);
    const text = readFileSync(path.join(modules, name, 'package.json'), 'utf8');
    const { dependencies = {} } = JSON.parse(text) as { dependencies?: Record<string, string> };
    for (const needed of Object.keys(dependencies)) visit(needed);
  };
  for (const name of names) visit(name);
  return [...found].toSorted();
}

export function clientImage(projectRoot: string): ImageRecipe {
  const modules = path.join(projectRoot, 'node_modules');
  const packages = packageClosure(modules, DRIVERS);
  const clients = clientPrograms();
  return {
    name: 'pg-client',
    alias: IMAGE_TAGS['pg-client'],
    inputs: {
      texts: [
        process.version,
        ...packages.map((name) => readFileSync(path.join(modules, name, 'package.json'), 'utf8')),
      ],
      paths: [...Object.values(clients), busyboxProgram()],
    },
    assemble: async (rootfs) => {
      await rootfs.program(process.execPath, '/usr/local/bin/node');
      for (const [name, program] of Object.entries(clients)) await rootfs.program(program, `/usr/bin/${name}`);
      for (const name of packages) rootfs.copy(path.join(modules, name), `/node_modules/${name}`);
      await rootfs.busybox(busyboxProgram());
      rootfs.accounts([{ name: 'client', uid: 1000, home: '/tmp' }]);
      return {
        Env: ['PATH=/usr/local/bin:/usr/bin:/bin', 'LANG=C.UTF-8', 'HOME=/tmp'],
        User: '1000:1000',
        WorkingDir: '/tmp',
        Cmd: ['sh'],
      };
    },
  };
}
