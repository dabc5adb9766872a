// Gathers the facts that decide which way to a cluster is taken.
import { existsSync, readFileSync } from 'node:fs';
import { onPath, tryRun } from './command.ts';
import type { MachineFacts } from './way.ts';

/** Looks at this machine; `kubeconfig` is passed through. Takes a second at most (the Docker client may be slow to give up). */
export async function gatherFacts(kubeconfig: string | undefined): Promise<MachineFacts> {
  return {
    kubeconfig,
    kindProgram: onPath('kind') !== undefined,
    dockerEngine: await dockerAnswers(),
    platform: process.platform,
    root: process.getuid?.() === 0,
    goProgram: onPath('go') !== undefined,
    overlayFs: hasOverlay(),
    bridgeFilter: existsSync('/proc/sys/net/bridge/bridge-nf-call-iptables'),
  };
}

async function dockerAnswers(): Promise<boolean> {
  if (onPath('docker') === undefined) return false;
  const asked = await tryRun(['docker', 'version', '--format', '{{.Server.Version}}'], { timeoutMs: 5000 });
  return asked.code === 0;
}

function hasOverlay(): boolean {
  if (!existsSync('/proc/filesystems')) return false;
  return readFileSync('/proc/filesystems', 'utf8').includes('\toverlay\n');
}
