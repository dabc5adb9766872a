// The load as a Job: its programs come from a ConfigMap into the client image, its outbox lies on a claim of its own.
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { RESTRICTED_CONTAINER, RESTRICTED_POD } from '../../cluster/platform/objects.ts';
import type { LoadOrder, ShardUrl } from '../load/files.ts';

export const LOAD_JOB = 'e2e-load';
export const LOAD_LABELS = { app: LOAD_JOB } as const;
/** Where the outbox is in the load's pod. */
export const OUTBOX_FOLDER = '/outbox';

const TEST_FOLDER = path.resolve(import.meta.dirname, '../..');
const PROGRAM_FOLDER = '/e2e';
const PROGRAMS = ['e2e/load/*.ts', 'support/{in-doubt,judge,outbox,random,transfer-*}.ts'];

export interface LoadJob {
  readonly clientImage: string;
  /** With the password. */
  readonly loadUrl: string;
  readonly shardUrls: readonly ShardUrl[];
  readonly order: Omit<LoadOrder, 'folder'>;
}

/** The command that runs one of the load's programs in its pod. */
export const loadCommand = (program: string, argument: string): string[] => [
  'node',
  `${PROGRAM_FOLDER}/e2e/load/${program}.ts`,
  argument,
];

/** A key of a ConfigMap has no slash. */
const keyOf = (file: string) => file.replaceAll('/', '__');

function container(name: string, image: string, command: readonly string[]): object {
  return {
    name,
    image,
    command,
    envFrom: [{ secretRef: { name: LOAD_JOB } }],
    volumeMounts: [
      { name: 'programs', mountPath: PROGRAM_FOLDER },
      { name: 'outbox', mountPath: OUTBOX_FOLDER },
    ],
    ...RESTRICTED_CONTAINER,
  };
}

/** Everything of the load, to be applied in one namespace. */
export function loadObjects({ clientImage, loadUrl, shardUrls, order }: LoadJob): object[] {
  const files = PROGRAMS.flatMap((pattern) => globSync(pattern, { cwd: TEST_FOLDER })).toSorted();
  const metadata = { name: LOAD_JOB, labels: LOAD_LABELS };
  const folder = OUTBOX_FOLDER;
  const load = container('load', clientImage, loadCommand('load', JSON.stringify({ folder, ...order })));
  const observer = container('observer', clientImage, loadCommand('observer', OUTBOX_FOLDER));
  const volumes = [
    { name: 'outbox', persistentVolumeClaim: { claimName: LOAD_JOB } },
    {
      name: 'programs',
      configMap: { name: LOAD_JOB, items: files.map((file) => ({ key: keyOf(file), path: file })) },
    },
  ];
  return [
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata,
      data: Object.fromEntries(files.map((file) => [keyOf(file), readFileSync(path.join(TEST_FOLDER, file), 'utf8')])),
    },
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata,
      stringData: { LOAD_URL: loadUrl, SHARD_URLS: JSON.stringify(shardUrls) },
    },
    {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata,
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
    },
    {
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata,
      spec: {
        backoffLimit: 20,
        template: {
          metadata: { labels: LOAD_LABELS },
          spec: {
            ...RESTRICTED_POD,
            restartPolicy: 'OnFailure',
            // A sidecar that goes on while the load is restarted, and ends with the Job.
            initContainers: [{ ...observer, restartPolicy: 'Always' }],
            containers: [load],
            volumes,
          },
        },
      },
    },
  ];
}
