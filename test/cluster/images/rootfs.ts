// Puts an image's file tree together in a staging folder: programs come with the shared libraries they need, under the same paths.
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { run, tryRun } from '../harness/command.ts';

/** The folders that a container run time mounts over, and a /tmp for images used without a read-only root. */
const STANDARD_FOLDERS = [
  'bin',
  'usr/bin',
  'usr/local/bin',
  'etc',
  'proc',
  'sys',
  'dev',
  'run',
  'root',
  'var',
] as const;

export interface User {
  readonly name: string;
  readonly uid: number;
  readonly home: string;
}

export class Rootfs {
  readonly folder: string;

  /** Starts from an empty `folder`; what was in it is removed. */
  constructor(folder: string) {
    this.folder = folder;
    rmSync(folder, { recursive: true, force: true });
    for (const name of STANDARD_FOLDERS) mkdirSync(path.join(folder, name), { recursive: true });
    this.makeFolder('/tmp', { mode: 0o1777 });
    symlinkSync('/run', path.join(folder, 'var/run'));
  }

  /** The staged place of an absolute path in the image. */
  at(imagePath: string): string {
    return path.join(this.folder, imagePath);
  }

  makeFolder(imagePath: string, options: { readonly mode?: number; readonly uid?: number } = {}): void {
    mkdirSync(this.at(imagePath), { recursive: true });
    // mkdir's own mode is cut by the umask.
    chmodSync(this.at(imagePath), options.mode ?? 0o755);
    if (options.uid !== undefined) chownSync(this.at(imagePath), options.uid, options.uid);
  }

  write(imagePath: string, text: string, mode = 0o644): void {
    mkdirSync(path.dirname(this.at(imagePath)), { recursive: true });
    writeFileSync(this.at(imagePath), text);
    chmodSync(this.at(imagePath), mode);
  }

  link(imagePath: string, target: string): void {
    rmSync(this.at(imagePath), { force: true });
    symlinkSync(target, this.at(imagePath));
  }

  /** Copies a file or a whole folder of the machine; a link named is followed, links inside a folder stay links. */
  copy(source: string, imagePath: string): void {
    mkdirSync(path.dirname(this.at(imagePath)), { recursive: true });
    cpSync(realpathSync(source), this.at(imagePath), { recursive: true, verbatimSymlinks: true });
  }

  /** Copies a program to `imagePath` and its shared libraries to where its loader looks for them. */
  async program(source: string, imagePath: string): Promise<void> {
    this.copy(source, imagePath);
    chmodSync(this.at(imagePath), 0o755);
    await this.libraries([source]);
  }

  /** Copies the shared libraries of programs that are staged already or lie on the machine. */
  async libraries(programs: readonly string[]): Promise<void> {
    for (const program of programs) {
      // ldd fails for a static program, which needs nothing.
      const listed = await tryRun(['ldd', program]);
      for (const [, library] of listed.stdout.matchAll(/(?:=> |^\s*)(\/\S+) \(0x/gm)) {
        if (library === undefined || library.startsWith(this.folder) || existsSync(this.at(library))) continue;
        this.copy(library, library);
      }
    }
  }

  /** busybox with a link for every applet that is not there yet: the shell and the small tools. */
  async busybox(program: string): Promise<void> {
    await this.program(program, '/bin/busybox');
    const applets = (await run([program, '--list'])).trim().split('\n');
    for (const applet of applets) {
      if (!['busybox', ''].includes(applet) && !existsSync(this.at(`/bin/${applet}`)))
        this.link(`/bin/${applet}`, 'busybox');
    }
    // Where the first line of a script looks for it.
    if (!existsSync(this.at('/usr/bin/env'))) this.link('/usr/bin/env', '/bin/busybox');
  }

  /** /etc/passwd, /etc/group and name resolution, with root, nobody and the given users. */
  accounts(users: readonly User[]): void {
    const all = [{ name: 'root', uid: 0, home: '/root' }, ...users, { name: 'nobody', uid: 65534, home: '/' }];
    const passwd = all.map(({ name, uid, home }) => `${name}:x:${uid}:${uid}::${home}:/bin/sh\n`);
    this.write('/etc/passwd', passwd.join(''));
    this.write('/etc/group', all.map(({ name, uid }) => `${name}:x:${uid}:\n`).join(''));
    this.write('/etc/nsswitch.conf', 'passwd: files\ngroup: files\nhosts: files dns\n');
  }
}
