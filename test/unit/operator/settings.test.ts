// What the operator is told by flags and environment, and the words with which it refuses what cannot be meant.
import { describe, expect, it } from 'vitest';
import { type OperatorFlags, SettingsError, settingsOf } from '../../../src/operator/settings.ts';

const FLAGS: OperatorFlags = {
  httpPort: 8080,
  leaderElection: true,
  leaseName: 'atomshard-operator',
  logLevel: 'info',
  workers: 4,
  resync: '10h',
};
const POD = { POD_NAME: 'operator-1', POD_NAMESPACE: 'ops' };

describe('the settings of the operator', () => {
  it('are those of its Pod where no flag says otherwise', () => {
    const { lease, pod, namespaces, resyncMs, image } = settingsOf(FLAGS, { ...POD, ATOMSHARD_IMAGE: '' });
    expect(lease).toEqual({ namespace: 'ops', name: 'atomshard-operator' });
    expect(pod).toEqual({ namespace: 'ops', name: 'operator-1' });
    expect(namespaces).toEqual([]);
    expect(resyncMs).toBe(36_000_000);
    expect(image).toBeUndefined();
  });

  it('take a flag before the environment', () => {
    const env = { ...POD, ATOMSHARD_IMAGE: 'from-env', KUBECONFIG: '/env' };
    const { image, kubeconfig } = settingsOf({ ...FLAGS, image: 'from-flag', kubeconfig: '/flag' }, env);
    expect({ image, kubeconfig }).toEqual({ image: 'from-flag', kubeconfig: '/flag' });
  });

  it('name each namespace once', () => {
    expect(settingsOf({ ...FLAGS, namespaces: 'shop, bank,,shop' }, POD).namespaces).toEqual(['shop', 'bank']);
  });

  it('lead without a Lease where that is asked for', () => {
    expect(settingsOf({ ...FLAGS, leaderElection: false }, {}).lease).toBeUndefined();
  });

  it.each([
    [{ namespaces: 'Shop' }, POD, '--namespaces: Shop is not the name of a namespace'],
    [{ logLevel: 'loud' }, POD, '--log-level: write one of debug, info, warn, error, silent'],
    [{ resync: 'often' }, POD, '--resync: write a duration such as 30m or 10h'],
    [{}, {}, '--lease-namespace: needed outside a Pod, or write --no-leader-election'],
  ])('refuse %j with what to write instead', (flags, env, message) => {
    expect(() => settingsOf({ ...FLAGS, ...flags }, env)).toThrow(new SettingsError(message));
  });
});
