// `atomshard operator` of the image for end-to-end tests: the same runOperator, with a control point that obeys orders.
import { parseArgs } from 'node:util';
import { underOrders } from './orders.ts';

const { values } = parseArgs({
  options: {
    namespaces: { type: 'string' },
    image: { type: 'string' },
    'http-port': { type: 'string', default: '8080' },
    'lease-name': { type: 'string', default: 'atomshard-operator' },
    'lease-namespace': { type: 'string' },
    'log-level': { type: 'string', default: 'info' },
    resync: { type: 'string', default: '10h' },
  },
});
const { namespaces, image, 'lease-namespace': leaseNamespace } = values;
const trigger = underOrders();
// In the image there is no src; its compiled form lies beside this folder.
const built = new URL('../../../dist/operator/run.js', import.meta.url);
const { runOperator } = (await import(built.href)) as typeof import('../../../src/operator/run.ts');
const flags = {
  ...(namespaces === undefined ? {} : { namespaces }),
  ...(image === undefined ? {} : { image }),
  ...(leaseNamespace === undefined ? {} : { leaseNamespace }),
  httpPort: Number(values['http-port']),
  leaderElection: true,
  leaseName: values['lease-name'],
  logLevel: values['log-level'],
  workers: 4,
  resync: values.resync,
};
process.exit(
  await runOperator(flags, 'e2e', { controlPoint: (name, participant) => trigger.reached(name, participant) }),
);
