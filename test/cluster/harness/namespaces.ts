// Namespaces that tests make carry a label, so that they are found and removed again on any cluster, and nothing else is.
import { randomBytes } from 'node:crypto';
import type { Kubectl } from './kubectl.ts';

export const OWN_LABEL = 'atomshard.dev/made-by=cluster-tests';

export interface TestNamespace extends AsyncDisposable {
  readonly name: string;
  readonly kubectl: Kubectl;
}

/** Makes a namespace `PURPOSE-xxxx`; disposing deletes it without waiting for its end. */
export async function testNamespace(
  kubectl: Kubectl,
  purpose: string,
  labels: Readonly<Record<string, string>> = {},
): Promise<TestNamespace> {
  const name = `${purpose}-${randomBytes(2).toString('hex')}`;
  const [key = '', value = ''] = OWN_LABEL.split('=');
  const metadata = { name, labels: { ...labels, [key]: value } };
  await kubectl.apply([{ apiVersion: 'v1', kind: 'Namespace', metadata }]);
  const inside = kubectl.inNamespace(name);
  // Pods are refused until the namespace has its default ServiceAccount.
  await inside.waitForValue('serviceaccount default', '.metadata.name', (found) => found !== '');
  return {
    name,
    kubectl: inside,
    [Symbol.asyncDispose]: async () => {
      await kubectl.try(['delete', 'namespace', name, '--wait=false']);
    },
  };
}
