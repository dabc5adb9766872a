// Writes a one-layer image archive that containerd and Docker import: reproducible, so that the same content has the same digest.
import { createHash } from 'node:crypto';
import { createReadStream, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { run } from '../harness/command.ts';

/** The members of an OCI image's `config` that are used here. */
export interface ImageConfig {
  readonly Env?: readonly string[];
  readonly User?: string;
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly WorkingDir?: string;
  readonly ExposedPorts?: Readonly<Record<string, object>>;
  readonly StopSignal?: string;
  readonly Labels?: Readonly<Record<string, string>>;
}

const OCI_ARCHITECTURE: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

/** Packs `rootfs` into the image archive `file`, under every name in `references`. */
export async function writeArchive(
  file: string,
  references: readonly string[],
  rootfs: string,
  config: ImageConfig,
): Promise<void> {
  const work = `${file}.unfinished`;
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  const layer = path.join(work, 'layer.tar');
  // Sorted names, no times, numeric owners: nothing of the day or the machine gets in.
  await run(['tar', '-C', rootfs, '--sort=name', '--mtime=@0', '--numeric-owner', '-cf', layer, '.']);
  const image = {
    architecture: OCI_ARCHITECTURE[process.arch] ?? process.arch,
    os: 'linux',
    created: '1970-01-01T00:00:00Z',
    config,
    rootfs: { type: 'layers', diff_ids: [`sha256:${await sha256(layer)}`] },
  };
  const manifest = [{ Config: 'config.json', RepoTags: references, Layers: ['layer.tar'] }];
  writeFileSync(path.join(work, 'config.json'), JSON.stringify(image));
  writeFileSync(path.join(work, 'manifest.json'), JSON.stringify(manifest));
  await run(['tar', '-C', work, '--mtime=@0', '-cf', `${file}.new`, 'config.json', 'manifest.json', 'layer.tar']);
  // A crash before this rename leaves `.new` and `.unfinished`, which the next build overwrites.
  renameSync(`${file}.new`, file);
  rmSync(work, { recursive: true });
}

async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}
