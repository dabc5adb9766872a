// Kubernetes objects of the platform tests, as small as they can be and fit for Pod Security level `restricted`.

/** The part of a pod's spec that `restricted` asks for. */
export const RESTRICTED_POD = {
  securityContext: { runAsNonRoot: true, runAsUser: 1000, fsGroup: 1000, seccompProfile: { type: 'RuntimeDefault' } },
  terminationGracePeriodSeconds: 1,
} as const;

export const RESTRICTED_CONTAINER = {
  securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] }, readOnlyRootFilesystem: true },
} as const;

export interface PodOptions {
  readonly labels?: Readonly<Record<string, string>>;
  readonly command?: readonly string[];
  readonly nodeName?: string;
  readonly memoryLimit?: string;
  /** A claim mounted at /data. */
  readonly claim?: string;
}

/** A pod that sleeps unless told otherwise. */
export function pod(name: string, image: string, options: PodOptions = {}): object {
  const mounted = options.claim !== undefined;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: options.labels ?? {} },
    spec: {
      ...RESTRICTED_POD,
      restartPolicy: 'Never',
      ...(options.nodeName === undefined ? {} : { nodeName: options.nodeName }),
      containers: [
        {
          name: 'main',
          image,
          command: options.command ?? ['sleep', '100000'],
          ...RESTRICTED_CONTAINER,
          ...(options.memoryLimit === undefined ? {} : { resources: { limits: { memory: options.memoryLimit } } }),
          ...(mounted ? { volumeMounts: [{ name: 'data', mountPath: '/data' }] } : {}),
        },
      ],
      ...(mounted ? { volumes: [{ name: 'data', persistentVolumeClaim: { claimName: options.claim } }] } : {}),
    },
  };
}

export const claim = (name: string, accessMode: string): object => ({
  apiVersion: 'v1',
  kind: 'PersistentVolumeClaim',
  metadata: { name },
  spec: { accessModes: [accessMode], resources: { requests: { storage: '10Mi' } } },
});

/** Answers HTTP on 8080 with its own name and how often it started on its volume. */
const SERVE = 'echo "$(hostname) started" >> /data/index.html; exec httpd -f -p 8080 -h /data';

export interface WebOptions {
  readonly replicas: number;
  /** Changing it changes the pod template. */
  readonly version?: string;
  readonly updateStrategy?: object;
  /** One pod per node at most, evicted two seconds after its node is lost. */
  readonly spread?: boolean;
}

/** A headless Service and a StatefulSet `web` with a volume for each pod. */
export function web(image: string, options: WebOptions): object[] {
  const labels = { app: 'web' };
  const unreachable = ['unreachable', 'not-ready'].map((reason) => ({
    key: `node.kubernetes.io/${reason}`,
    operator: 'Exists',
    effect: 'NoExecute',
    tolerationSeconds: 2,
  }));
  const antiAffinity = {
    podAntiAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: [
        { topologyKey: 'kubernetes.io/hostname', labelSelector: { matchLabels: labels } },
      ],
    },
  };
  const container = {
    name: 'main',
    image,
    command: ['sh', '-c', SERVE],
    env: [{ name: 'VERSION', value: options.version ?? '1' }],
    ports: [{ containerPort: 8080 }],
    readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 },
    volumeMounts: [{ name: 'data', mountPath: '/data' }],
    ...RESTRICTED_CONTAINER,
  };
  return [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'web' },
      spec: { clusterIP: 'None', selector: labels, ports: [{ port: 8080 }], publishNotReadyAddresses: true },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata: { name: 'web' },
      spec: {
        serviceName: 'web',
        replicas: options.replicas,
        podManagementPolicy: 'Parallel',
        persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Delete', whenScaled: 'Delete' },
        selector: { matchLabels: labels },
        ...(options.updateStrategy === undefined ? {} : { updateStrategy: options.updateStrategy }),
        template: {
          metadata: { labels },
          spec: {
            ...RESTRICTED_POD,
            ...(options.spread === true ? { affinity: antiAffinity, tolerations: unreachable } : {}),
            containers: [container],
          },
        },
        volumeClaimTemplates: [
          {
            metadata: { name: 'data' },
            spec: { accessModes: ['ReadWriteOncePod'], resources: { requests: { storage: '10Mi' } } },
          },
        ],
      },
    },
  ];
}

/** A CRD with the features that ShardedCluster uses: CEL rules, defaults, status and scale. */
export const widgetDefinition = (group: string): object => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `widgets.${group}`, labels: { 'atomshard.dev/made-by': 'cluster-tests' } },
  spec: {
    group,
    scope: 'Namespaced',
    names: { plural: 'widgets', singular: 'widget', kind: 'Widget' },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        subresources: {
          status: {},
          scale: { specReplicasPath: '.spec.proxies', statusReplicasPath: '.status.proxies' },
        },
        schema: { openAPIV3Schema: WIDGET_SCHEMA },
      },
    ],
  },
});

const WIDGET_SCHEMA = {
  type: 'object',
  required: ['spec'],
  properties: {
    spec: {
      type: 'object',
      required: ['shards'],
      'x-kubernetes-validations': [{ rule: 'self.shards <= self.shardsMax', message: 'more shards than shardsMax' }],
      properties: {
        shards: {
          type: 'integer',
          minimum: 1,
          'x-kubernetes-validations': [{ rule: 'self >= oldSelf', message: 'shards never shrink' }],
        },
        shardsMax: { type: 'integer', default: 64 },
        proxies: { type: 'integer', default: 2 },
        storageClass: {
          type: 'string',
          'x-kubernetes-validations': [{ rule: 'self == oldSelf', message: 'storageClass is immutable' }],
        },
      },
    },
    status: { type: 'object', properties: { proxies: { type: 'integer' }, phase: { type: 'string' } } },
  },
} as const;
