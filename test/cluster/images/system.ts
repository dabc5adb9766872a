// The images that a bare cluster itself needs: the pod sandbox, DNS, the volume provisioner and a busybox for both it and the tests.
import type { Programs } from '../harness/build.ts';
import { onPath } from '../harness/command.ts';
import { versionIn } from '../harness/programs.ts';
import type { ImageRecipe } from './image.ts';
import { IMAGE_TAGS } from './names.ts';

const PATH_OF_IMAGES = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** The fixed tags under which manifests name the system images. */
export const SYSTEM_REFERENCES = {
  pause: 'localhost/pause:1',
  busybox: `localhost/busybox:${IMAGE_TAGS.busybox}`,
  localPath: () =>
    `localhost/local-path-provisioner:${versionIn('localpath', 'github.com/rancher/local-path-provisioner')}`,
} as const;

/** Recipes of the system images from the programs of this cluster. */
export function systemImages(programs: Programs): ImageRecipe[] {
  return [
    fromProgram(programs, { name: 'pause', alias: '1', program: 'pause', user: '65535:65535' }),
    fromProgram(programs, {
      name: 'coredns',
      alias: versionIn('coredns', 'github.com/coredns/coredns'),
      program: 'coredns',
      user: '65532:65532',
    }),
    fromProgram(programs, {
      name: 'local-path-provisioner',
      alias: versionIn('localpath', 'github.com/rancher/local-path-provisioner'),
      program: 'local-path-provisioner',
    }),
    busyboxImage(),
  ];
}

function fromProgram(
  programs: Programs,
  of: { readonly name: string; readonly alias: string; readonly program: string; readonly user?: string },
): ImageRecipe {
  const source = programs.program(of.program);
  return {
    name: of.name,
    alias: of.alias,
    inputs: { texts: [of.alias], paths: [source] },
    assemble: async (rootfs) => {
      await rootfs.program(source, `/${of.program}`);
      rootfs.accounts([]);
      return { Entrypoint: [`/${of.program}`], ...(of.user === undefined ? {} : { User: of.user }) };
    },
  };
}

/** busybox and nothing else, as `localhost/busybox:1`. */
export function busyboxImage(): ImageRecipe {
  const source = busyboxProgram();
  return {
    name: 'busybox',
    alias: IMAGE_TAGS.busybox,
    inputs: { texts: [], paths: [source] },
    assemble: async (rootfs) => {
      await rootfs.busybox(source);
      rootfs.accounts([]);
      return { Env: [PATH_OF_IMAGES], Cmd: ['sh'] };
    },
  };
}

/** The machine's busybox; throws when it is not installed. */
export function busyboxProgram(): string {
  const found = onPath('busybox');
  if (found === undefined) throw new Error('busybox is not installed');
  return found;
}
