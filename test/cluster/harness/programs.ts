// The programs of the bare cluster: which Go module builds which, with what flags. Versions stand in the modules' go.mod files and nowhere else.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

export const MODULES_FOLDER = path.resolve(import.meta.dirname, '../modules');

export interface Recipe {
  /** Folder below test/cluster/modules, with its own go.mod and go.sum. */
  readonly module: string;
  /** What to hand to `go build`: `tool` is every tool line of go.mod, `.` the module's own main package. */
  readonly targets: readonly string[];
  /** Files that the build must leave behind. */
  readonly programs: readonly string[];
  /** The module whose version is stamped into the programs, and the linker variables that take it. */
  readonly version?: { readonly of: string; readonly variables: readonly string[] };
  readonly cgo?: true;
  readonly tags?: string;
  /** Not part of a cluster: built when a test first asks for it. */
  readonly onDemand?: true;
}

const KUBE_VERSION_PACKAGES = ['k8s.io/component-base/version', 'k8s.io/client-go/pkg/version'] as const;

export const RECIPES = [
  { module: 'nodeinit', targets: ['.'], programs: ['nodeinit'] },
  { module: 'netpolicy', targets: ['.'], programs: ['netpolicy'] },
  { module: 'pause', targets: ['.'], programs: ['pause'] },
  { module: 'cni', targets: ['tool'], programs: ['bridge', 'host-local', 'loopback', 'portmap'] },
  {
    module: 'runc',
    targets: ['tool'],
    programs: ['runc'],
    version: { of: 'github.com/opencontainers/runc', variables: ['main.version'] },
    cgo: true,
    tags: 'seccomp',
  },
  {
    module: 'etcd',
    targets: ['go.etcd.io/etcd/server/v3'],
    programs: ['server'],
  },
  {
    module: 'containerd',
    targets: ['tool'],
    programs: ['containerd', 'containerd-shim-runc-v2', 'ctr'],
    version: {
      of: 'github.com/containerd/containerd/v2',
      variables: ['github.com/containerd/containerd/v2/version.Version'],
    },
  },
  {
    module: 'kube',
    targets: ['tool'],
    programs: [
      'kube-apiserver',
      'kube-controller-manager',
      'kube-proxy',
      'kube-scheduler',
      'kubeadm',
      'kubectl',
      'kubelet',
    ],
    version: {
      of: 'k8s.io/kubernetes',
      variables: KUBE_VERSION_PACKAGES.map((name) => `${name}.gitVersion`),
    },
  },
  { module: 'coredns', targets: ['.'], programs: ['coredns'] },
  {
    module: 'localpath',
    targets: ['tool'],
    programs: ['local-path-provisioner'],
    version: { of: 'github.com/rancher/local-path-provisioner', variables: ['main.VERSION'] },
  },
  {
    module: 'helm',
    targets: ['tool'],
    programs: ['helm'],
    version: { of: 'helm.sh/helm/v4', variables: ['helm.sh/helm/v4/internal/version.version'] },
    onDemand: true,
  },
] as const satisfies readonly Recipe[];

export type ProgramRecipe = (typeof RECIPES)[number];
export type ModuleName = ProgramRecipe['module'];

/** The version that go.mod requires of a module, e.g. `v1.36.3`; throws when it is not required there. */
export function requiredVersion(goMod: string, ofModule: string): string {
  const escaped = ofModule.replaceAll(/[.\\/]/g, '\\$&');
  const found = new RegExp(`^\\s*(?:require )?${escaped} (v\\S+)`, 'm').exec(goMod);
  if (found?.[1] === undefined) throw new Error(`go.mod does not require ${ofModule}`);
  return found[1];
}

/** The version of the Kubernetes that is built, e.g. `v1.36.3`. */
export const kubernetesVersion = (): string => versionIn('kube', 'k8s.io/kubernetes');

export const versionIn = (module: ModuleName, ofModule: string): string =>
  requiredVersion(readFileSync(path.join(MODULES_FOLDER, module, 'go.mod'), 'utf8'), ofModule);

/** What a bare cluster is made of. */
export const CLUSTER_RECIPES = RECIPES.filter((recipe) => !('onDemand' in recipe));

/** The linker flags of a recipe; `goMod` is the text of its go.mod. */
export function linkerFlags(recipe: Recipe, goMod: string): string {
  const flags = ['-s', '-w'];
  if (recipe.version === undefined) return flags.join(' ');
  const version = requiredVersion(goMod, recipe.version.of);
  for (const variable of recipe.version.variables) flags.push('-X', `${variable}=${version}`);
  if (recipe.module === 'kube') {
    const [major = '', minor = ''] = version.slice(1).split('.');
    for (const name of KUBE_VERSION_PACKAGES) {
      flags.push(
        '-X',
        `${name}.gitMajor=${major}`,
        '-X',
        `${name}.gitMinor=${minor}`,
        '-X',
        `${name}.gitTreeState=clean`,
      );
    }
  }
  return flags.join(' ');
}

/** The arguments after `go` that build a recipe into `outFolder`. */
export function buildArguments(recipe: Recipe, goMod: string, outFolder: string): string[] {
  return [
    'build',
    '-trimpath',
    '-buildvcs=false',
    ...(recipe.tags === undefined ? [] : ['-tags', recipe.tags]),
    '-ldflags',
    linkerFlags(recipe, goMod),
    '-o',
    `${outFolder}/`,
    ...recipe.targets,
  ];
}

/**
 * The key under which the programs of a recipe are kept: anything that could change a byte of them is in it.
 * `toolchain` is the answer of `go env GOVERSION GOOS GOARCH`.
 */
export function programKey(recipe: Recipe, toolchain: string, modulesFolder = MODULES_FOLDER): string {
  const hash = createHash('sha256');
  const folder = path.join(modulesFolder, recipe.module);
  for (const file of readdirSync(folder).toSorted()) {
    hash.update(`${file}\0${readFileSync(path.join(folder, file), 'utf8')}\0`);
  }
  hash.update(JSON.stringify(recipe)).update(toolchain);
  return hash.digest('hex').slice(0, 16);
}
