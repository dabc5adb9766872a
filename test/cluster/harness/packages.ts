// The few things that come from the system's own package collection: found by the file they bring, installed where this is root on Debian, else named.
import { existsSync } from 'node:fs';
import { onPath, run } from './command.ts';
import type { Report } from './report.ts';

export interface Requirement {
  readonly package: string;
  readonly why: string;
  /** A program on the PATH, or a file by its absolute path. */
  readonly provides: string;
}

export const FOR_NODES: readonly Requirement[] = [
  { package: 'iproute2', why: 'links between nodes', provides: 'ip' },
  { package: 'iptables', why: 'kube-proxy and network policies', provides: 'iptables-restore' },
];

export const FOR_IMAGES: readonly Requirement[] = [
  { package: 'busybox-static', why: 'the shell in the images', provides: 'busybox' },
];

export const FOR_POSTGRES_IMAGES: readonly Requirement[] = [
  { package: 'postgresql-client', why: 'psql and pg_isready in the images', provides: 'psql' },
];

export const FOR_RUNC: readonly Requirement[] = [
  { package: 'gcc', why: 'runc enters namespaces in C', provides: 'gcc' },
  { package: 'libc6-dev', why: 'runc enters namespaces in C', provides: '/usr/include/stdlib.h' },
  { package: 'libseccomp-dev', why: 'runc applies seccomp profiles', provides: '/usr/include/seccomp.h' },
];

export const RUNC_RUNS: readonly Requirement[] = [
  { package: 'libseccomp2', why: 'runc applies seccomp profiles', provides: 'libseccomp.so.2' },
];

export class PackagesMissing extends Error {
  override readonly name = 'PackagesMissing';
}

export function isPresent(requirement: Requirement): boolean {
  const { provides } = requirement;
  if (provides.startsWith('/')) return existsSync(provides);
  if (!provides.includes('.so.')) return onPath(provides) !== undefined;
  const libraryFolders = [
    '/lib',
    '/lib64',
    '/usr/lib',
    '/usr/lib64',
    '/usr/lib/x86_64-linux-gnu',
    '/usr/lib/aarch64-linux-gnu',
  ];
  return libraryFolders.some((folder) => existsSync(`${folder}/${provides}`));
}

/** Makes sure of `requirements`: installs what is missing (root on Debian), or rejects with the command that would. */
export async function ensurePackages(requirements: readonly Requirement[], report: Report): Promise<void> {
  const missing = requirements.filter((requirement) => !isPresent(requirement));
  if (missing.length === 0) return;
  const names = [...new Set(missing.map((requirement) => requirement.package))];
  const command = `apt-get install -y --no-install-recommends ${names.join(' ')}`;
  if (onPath('apt-get') === undefined || process.getuid?.() !== 0) {
    const reasons = missing.map((requirement) => `${requirement.package} (${requirement.why})`).join(', ');
    throw new PackagesMissing(`missing: ${reasons}. On Debian or Ubuntu: sudo ${command}`);
  }
  report.step(`installing Debian packages: ${names.join(' ')}`);
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  await run(['apt-get', 'update', '-qq'], { env, timeoutMs: 300_000 });
  await run(command.split(' '), { env, timeoutMs: 600_000 });
  report.step('packages installed');
}
