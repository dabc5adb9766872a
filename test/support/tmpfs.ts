// A file system of a given size, which tests fill to the last byte.
import { execFileSync, spawnSync } from 'node:child_process';

/** False where it cannot be: mounting needs root and a kernel that lets us. Whoever mounted it unmounts it. */
export function mountTmpfs(directory: string, bytes: number): boolean {
  if (process.getuid?.() !== 0) return false;
  execFileSync('mkdir', ['-p', directory]);
  return spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', directory]).status === 0;
}

export const unmount = (directory: string): Buffer => execFileSync('umount', ['-l', directory]);
