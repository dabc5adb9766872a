// The Services of a cluster: where clients connect, and where proxies and operator reach each pod whether or not it is ready.
import { SERVICES } from '../cluster/kinds.ts';
import type { DesiredInput, DesiredObject, PlainObject } from './desired-input.ts';
import { ownedMeta, selectorOf } from './labels.ts';
import { clusterNames, HTTP_PORT, POSTGRES_PORT, shardNames } from './names.ts';

const postgres = (port: number): PlainObject => ({ name: 'postgres', port, targetPort: 'postgres', protocol: 'TCP' });
const http: PlainObject = { name: 'http', port: HTTP_PORT, targetPort: 'http', protocol: 'TCP' };

/** For clients: proxies that are ready. A proxy that drains is not, so it leaves by itself. */
export function clientService({ cluster }: DesiredInput): DesiredObject {
  const { service } = cluster.spec.proxy;
  const { name } = cluster.metadata;
  const meta = ownedMeta(cluster, clusterNames(name).clientService, 'proxy');
  return {
    type: SERVICES,
    object: {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: service.annotations === undefined ? meta : { ...meta, annotations: service.annotations },
      spec: { type: service.type, selector: selectorOf(name, 'proxy'), ports: [postgres(service.port)] },
    },
  };
}

/** Gives each proxy's pod a name of its own; the operator asks them also while they are not ready. */
export function proxyPodsService({ cluster }: DesiredInput): DesiredObject {
  const { name } = cluster.metadata;
  return {
    type: SERVICES,
    object: {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: ownedMeta(cluster, clusterNames(name).proxyPods, 'proxy'),
      spec: {
        clusterIP: 'None',
        publishNotReadyAddresses: true,
        selector: selectorOf(name, 'proxy'),
        ports: [postgres(POSTGRES_PORT), http],
      },
    },
  };
}

/** The shard's Service and the headless one of its set. Recovery needs a shard before it is ready, so both publish it early. */
export function shardServices({ cluster }: DesiredInput, index: number): DesiredObject[] {
  const { name } = cluster.metadata;
  const { logical, set, pods } = shardNames(name, index);
  const service = (called: string, more: PlainObject): DesiredObject => ({
    type: SERVICES,
    object: {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: ownedMeta(cluster, called, 'shard', logical),
      spec: {
        ...more,
        publishNotReadyAddresses: true,
        selector: selectorOf(name, 'shard', logical),
        ports: [postgres(POSTGRES_PORT)],
      },
    },
  });
  return [service(set, { type: 'ClusterIP' }), service(pods, { clusterIP: 'None' })];
}
