// The operator under orders: the Deployment that tests of the operator use, with the image for end-to-end tests and a folder for orders.
import type { Kubectl } from '../../cluster/harness/kubectl.ts';
import { deployOperator } from '../../cluster/operator/deploy.ts';

export const OPERATOR = 'atomshard-operator';
export const OPERATOR_ORDERS = '/orders';

/** Deploys it into `namespace`, which it watches, and waits until it is ready. */
export async function deployUnderOrders(kubectl: Kubectl, namespace: string, image: string): Promise<void> {
  await deployOperator(kubectl, namespace, { image });
  const patch = {
    spec: {
      strategy: { type: 'Recreate', rollingUpdate: null },
      template: {
        spec: {
          containers: [
            {
              name: 'operator',
              env: [{ name: 'ATOMSHARD_E2E_ORDERS', value: OPERATOR_ORDERS }],
              volumeMounts: [{ name: 'orders', mountPath: OPERATOR_ORDERS }],
            },
          ],
          volumes: [{ name: 'orders', emptyDir: {} }],
        },
      },
    },
  };
  await kubectl.run(['patch', 'deployment', OPERATOR, '--type=strategic', '--patch', JSON.stringify(patch)]);
  await kubectl.run(['rollout', 'status', `deployment/${OPERATOR}`, '--timeout=90s']);
}
