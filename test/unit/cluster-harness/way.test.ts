// Which way to a cluster is taken, for every kind of machine.
import { describe, expect, it } from 'vitest';
import { givenKubeconfig } from '../../cluster/harness/open.ts';
import { chooseWay, type MachineFacts } from '../../cluster/harness/way.ts';

const bareMachine: MachineFacts = {
  kubeconfig: undefined,
  kindProgram: false,
  dockerEngine: false,
  platform: 'linux',
  root: true,
  goProgram: true,
  overlayFs: true,
  bridgeFilter: true,
};

describe('the way to a cluster', () => {
  it('a kubeconfig comes before everything', () => {
    const way = chooseWay({ ...bareMachine, kubeconfig: '/k', kindProgram: true, dockerEngine: true });
    expect(way).toMatchObject({ kind: 'existing', kubeconfig: '/k' });
  });

  it('kind with an engine comes before the bare cluster, unless that one is asked for', () => {
    const both = { ...bareMachine, kindProgram: true, dockerEngine: true };
    expect(chooseWay(both).kind).toBe('kind');
    expect(chooseWay(both, 'bare').kind).toBe('bare');
    expect(chooseWay({ ...both, kubeconfig: '/k' }, 'kind').kind).toBe('kind');
  });

  it('a Docker client without an engine is no engine, and the reason says so', () => {
    const way = chooseWay({ ...bareMachine, kindProgram: true });
    expect(way.kind).toBe('bare');
    expect(way.why).toContain('without a running Docker engine');
  });

  it('names everything that is missing with the command that gets it', () => {
    const way = chooseWay({
      ...bareMachine,
      platform: 'darwin',
      root: false,
      goProgram: false,
      overlayFs: false,
      bridgeFilter: false,
    });
    expect(way.kind).toBe('none');
    const missing = way.kind === 'none' ? way.missing.join('\n') : '';
    for (const part of [
      'Docker engine',
      'go install sigs.k8s.io/kind',
      'Linux',
      'sudo',
      'modprobe overlay',
      'modprobe br_netfilter',
      'go.dev',
    ]) {
      expect(missing).toContain(part);
    }
  });

  it('KUBECONFIG of a cluster of ours is not taken for somebody else’s, even after it is gone', () => {
    expect(givenKubeconfig('/state/a/kubeconfig/admin.conf', '/state')).toBeUndefined();
    expect(givenKubeconfig('/home/me/.kube/config:/other', '/state')).toBe('/home/me/.kube/config');
    expect(givenKubeconfig('/statement/config', '/state')).toBe('/statement/config');
    expect(givenKubeconfig('', '/state')).toBeUndefined();
    expect(givenKubeconfig(undefined, '/state')).toBeUndefined();
  });
});
