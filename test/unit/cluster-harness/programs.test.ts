// The pinned versions and the keys of built programs: one Kubernetes everywhere, and a new key for every change.
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  buildArguments,
  kubernetesVersion,
  linkerFlags,
  MODULES_FOLDER,
  programKey,
  RECIPES,
  requiredVersion,
} from '../../cluster/harness/programs.ts';

const goModOf = (module: string): string => readFileSync(path.join(MODULES_FOLDER, module, 'go.mod'), 'utf8');

describe('programs of the bare cluster', () => {
  it('every module folder has a recipe and every recipe a folder', () => {
    expect(RECIPES.map(({ module }) => module).toSorted()).toEqual(readdirSync(MODULES_FOLDER).toSorted());
  });

  it('every module that is linked against Kubernetes is pinned to the version of Kubernetes itself', () => {
    const staging = kubernetesVersion().replace(/^v1\./, 'v0.');
    for (const module of ['kube', 'coredns', 'localpath']) {
      const pins = [...goModOf(module).matchAll(/^\tk8s\.io\/\S+ => k8s\.io\/\S+ (v\S+)$/gm)].map(([, pin]) => pin);
      expect(new Set(pins), module).toEqual(new Set([staging]));
    }
  });

  it('Kubernetes is stamped with its own version, so that `kubectl version` tells the truth', () => {
    const [recipe] = RECIPES.filter(({ module }) => module === 'kube');
    const flags = recipe === undefined ? '' : linkerFlags(recipe, goModOf('kube'));
    expect(flags).toContain(`-X k8s.io/component-base/version.gitVersion=${kubernetesVersion()}`);
    expect(flags).toContain('-X k8s.io/client-go/pkg/version.gitMinor=36');
  });

  it('a version is read from both forms of require, and its absence is an error', () => {
    expect(requiredVersion('require a.b/c v1.2.3\n', 'a.b/c')).toBe('v1.2.3');
    expect(requiredVersion('require (\n\ta.b/c v1.2.3 // indirect\n)\n', 'a.b/c')).toBe('v1.2.3');
    expect(() => requiredVersion('require axb/c v1.2.3\n', 'a.b/c')).toThrow('does not require');
  });

  it('a build is reproducible: no paths, no time, no state of the working copy', () => {
    const [recipe = RECIPES[0]] = RECIPES;
    expect(buildArguments(recipe, goModOf(recipe.module), '/out')).toEqual(
      expect.arrayContaining(['-trimpath', '-buildvcs=false']),
    );
  });

  it('the key changes with a checksum, a source, the recipe and the toolchain, and with nothing else', () => {
    const [recipe] = RECIPES.filter(({ module }) => module === 'coredns');
    if (recipe === undefined) throw new Error('no recipe for coredns');
    const folder = mkdtempSync(path.join(tmpdir(), 'modules-'));
    try {
      cpSync(path.join(MODULES_FOLDER, 'coredns'), path.join(folder, 'coredns'), { recursive: true });
      const key = programKey(recipe, 'go1', folder);
      expect(programKey(recipe, 'go1', folder)).toBe(key);
      expect(programKey(recipe, 'go2', folder)).not.toBe(key);
      expect(programKey({ ...recipe, targets: ['x'] }, 'go1', folder)).not.toBe(key);
      writeFileSync(path.join(folder, 'coredns/go.sum'), 'changed');
      expect(programKey(recipe, 'go1', folder)).not.toBe(key);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
