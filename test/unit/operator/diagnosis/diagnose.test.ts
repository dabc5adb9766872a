// Each fault as Kubernetes shows it, and the sentence that a person gets: what is wrong and what to do.
import { describe, expect, it } from 'vitest';
import type { Children } from '../../../../src/operator/diagnosis/children.ts';
import { diagnose } from '../../../../src/operator/diagnosis/diagnose.ts';
import { ago, children, fallen, NOW_MS, proxyPod, shardClaim, shardPod, waiting, warning } from './broken-children.ts';

const told = (parts: Partial<Children>) =>
  diagnose(children(parts)).map(({ reason, message }) => ({ reason, message }));
const one = (parts: Partial<Children>) => {
  const problems = told(parts);
  expect(problems).toHaveLength(1);
  return problems[0];
};

describe('an image that cannot be pulled', () => {
  it.each([
    ['ErrImagePull', 'rpc error: code = NotFound desc = failed to pull and unpack image: not found', 'no such image'],
    ['ImagePullBackOff', 'Back-off pulling image "x": ErrImagePull: manifest unknown', 'no such image'],
    ['ErrImagePull', 'pull access denied, repository does not exist or may require authorization', 'no such image'],
    ['ErrImagePull', 'failed to authorize: unexpected status: 401 Unauthorized', 'spec.imagePullSecrets'],
    ['ErrImagePull', 'dial tcp: lookup registry.example on 10.0.0.1:53: no such host', 'cannot be reached'],
    ['InvalidImageName', 'Failed to apply default image tag "Post gres": invalid reference format', 'not the name'],
    ['ErrImageNeverPull', 'Container image "x" is not present with pull policy of Never', 'imagePullPolicy is Never'],
  ])('%s, %s', (reason, message, advice) => {
    const problem = one({ pods: [shardPod(waiting(reason, message, 'example/pg:99'))] });
    expect(problem?.reason).toBe('ImageCannotBePulled');
    expect(problem?.message).toContain('Image example/pg:99 cannot be pulled on node node-1');
    expect(problem?.message).toContain(advice);
  });

  it('has the same words while the kubelet tries and while it waits', () => {
    const trying = told({ pods: [shardPod(waiting('ErrImagePull', 'code = NotFound: not found'))] });
    const pausing = told({ pods: [shardPod(waiting('ImagePullBackOff', 'Back-off: ErrImagePull: not found'))] });
    expect(trying).toEqual(pausing);
  });
});

describe('PostgreSQL that ends again and again', () => {
  const prefix = '2026-11-21 13:59:01.123 UTC [1] ';
  it.each([
    [
      'ParametersRefused',
      `${prefix}LOG:  unrecognized configuration parameter "nosuch" in file "/etc/atomshard/postgres/postgresql.conf" line 3\n${prefix}FATAL:  configuration file "/etc/atomshard/postgres/postgresql.conf" contains errors`,
      'unrecognized configuration parameter "nosuch"',
    ],
    [
      'ParametersRefused',
      `${prefix}FATAL:  invalid value for parameter "shared_buffers": "lots"\n${prefix}HINT:  Valid units for this parameter are "B", "kB", "MB", "GB", and "TB".`,
      'Valid units',
    ],
    [
      'ParametersRefused',
      `${prefix}FATAL:  could not map anonymous shared memory: Cannot allocate memory`,
      'lower shared_buffers',
    ],
    [
      'ParametersRefused',
      `${prefix}FATAL:  maximum number of prepared transactions reached\n${prefix}HINT:  Increase "max_prepared_transactions" (currently 1).`,
      'spec.twoPhaseCommit.maxPreparedTransactions',
    ],
    [
      'ParametersRefused',
      `${prefix}FATAL:  could not access file "nosuchlib": No such file or directory`,
      'use an image that has the library',
    ],
    [
      'VolumeFull',
      `${prefix}PANIC:  could not write to file "pg_wal/xlogtemp.29": No space left on device`,
      'enlarge spec.shards.storage.size',
    ],
    [
      'VolumeFull',
      // What a client is told meanwhile is no reason: it stands behind user and database.
      `${prefix}FATAL:  could not write to file "pg_wal/xlogtemp.29": No space left on device\n2026-11-21 13:01:02.124 UTC [30] app@app as1:x FATAL:  the database system is shutting down`,
      'enlarge spec.shards.storage.size',
    ],
    [
      'VolumeFull',
      '2026-11-21 13:01:02.124 UTC [30] app@app as1:x PANIC:  could not write to file "pg_wal/xlogtemp.30": No space left on device',
      'enlarge spec.shards.storage.size',
    ],
    [
      'ForeignDataDirectory',
      'FATAL:  the volume at /var/lib/postgresql is not empty and was not made by AtomShard: it holds photos. Nothing was changed; use an empty volume',
      'photos',
    ],
    [
      'MajorVersionChanged',
      'FATAL:  the volume holds data of PostgreSQL 17 and the image is PostgreSQL 18.1: a major version cannot change in place. Nothing was changed; write the former image into spec.postgres.image',
      'former major version',
    ],
    [
      'CrashLoop',
      `${prefix}FATAL:  could not create lock file "/run/x": Read-only file system`,
      'Read-only file system',
    ],
    ['CrashLoop', 'exec /bin/sh: exec format error', 'kubectl logs --previous'],
  ])('%s: %s', (reason, message, advice) => {
    const problem = one({ pods: [shardPod(fallen({ message }))] });
    expect(problem?.reason).toBe(reason);
    expect(problem?.message).toContain(advice);
  });

  it('says the same at every try, although each has another time and process id', () => {
    const at = (time: string, pid: number) => `2026-11-21 ${time} UTC [${pid}] FATAL:  could not open directory "x"`;
    const first = told({ pods: [shardPod(fallen({ message: at('13:01:02.1', 1) }))] });
    const second = told({
      pods: [shardPod(fallen({ message: at('13:02:22.9', 1) }, { running: { startedAt: ago(3_000) } }))],
    });
    expect(first).toEqual(second);
  });

  it('that was killed for memory is told to raise the limit', () => {
    const problem = one({ pods: [shardPod(fallen({ reason: 'OOMKilled', exitCode: 137 }))] });
    expect(problem).toMatchObject({
      reason: 'OutOfMemory',
      message: expect.stringContaining('resources.limits.memory'),
    });
  });

  it('and has been up for a while now, or serves, or was told to end, is not told of', () => {
    const up = fallen({ message: 'FATAL:  x' }, { running: { startedAt: ago(120_000) } });
    expect(told({ pods: [shardPod(up)] })).toEqual([]);
    const [status] = up.containerStatuses ?? [];
    const serves = { ...up, containerStatuses: [{ ...status, name: 'main', ready: true }] };
    expect(told({ pods: [shardPod(serves)] })).toEqual([]);
    expect(told({ pods: [shardPod(fallen({ exitCode: 0 }))] })).toEqual([]);
    const leaving = shardPod(fallen({}), { deletionTimestamp: ago(1_000) });
    expect(told({ pods: [leaving] })).toEqual([]);
  });
});

describe('a container that was killed', () => {
  const killed = { exitCode: 137, message: '' };
  const reason = (parts: Parameters<typeof fallen>) => told({ pods: [proxyPod(fallen(...parts))] })[0]?.reason;

  it('once is no loop: not while it is down, nor while it starts again, however often it was killed long ago', () => {
    const starts = { running: { startedAt: ago(2_000) } };
    expect(reason([killed, { terminated: { ...killed, finishedAt: ago(500) } }, 0])).toBeUndefined();
    expect(reason([killed, starts, 1])).toBeUndefined();
    const ranLong = { ...killed, startedAt: ago(3_600_000), finishedAt: ago(3_000) };
    expect(reason([ranLong, starts, 7])).toBeUndefined();
    expect(reason([{}, { terminated: { ...ranLong } }, 7])).toBeUndefined();
  });

  it('is in a loop when Kubernetes waits between the tries, and between those waits too', () => {
    const ranShortly = { ...killed, startedAt: ago(9_000), finishedAt: ago(3_000) };
    expect(reason([ranShortly, undefined, 2])).toBe('CrashLoop');
    expect(reason([ranShortly, { running: { startedAt: ago(2_000) } }, 2])).toBe('CrashLoop');
  });

  it('for a cause that is known is told of at once', () => {
    expect(reason([{ reason: 'OOMKilled', exitCode: 137 }, { running: { startedAt: ago(2_000) } }, 1])).toBe(
      'OutOfMemory',
    );
  });
});

describe('a proxy that ends again and again', () => {
  it.each([
    [
      2,
      'ConfigurationRefused',
      'atomshard proxy: /etc/x.yaml:\n  shards: name a is used twice',
      'shards: name a is used twice',
    ],
    [
      3,
      'LogLocked',
      'atomshard proxy: the log directory /w is in use by pid 7; stop that process first',
      'held by another',
    ],
    [
      3,
      'LogDamaged',
      'atomshard proxy: the log is damaged: /w/00.wal at byte 16: bad checksum',
      'kubectl atomshard wal verify',
    ],
    [4, 'VolumeFull', '{"level":50,"msg":"the log failed","err":{"message":"write: ENOSPC"}}', 'spec.proxy.wal.size'],
    [4, 'LogFailed', '{"level":50,"msg":"the log failed","err":{"message":"sync: EIO"}}', 'sync: EIO'],
    [1, 'CrashLoop', 'atomshard proxy: boom\nError: boom\n    at f (x.js:1)', 'exit code 1: boom'],
    [139, 'CrashLoop', '', 'exit code 139; see kubectl logs --previous'],
  ])('exit code %i: %s, %s', (exitCode, reason, message, advice) => {
    const problem = one({ pods: [proxyPod(fallen({ exitCode, message }))] });
    expect(problem?.reason).toBe(reason);
    expect(problem?.message).toContain(advice);
  });
});

describe('a pod without a place', () => {
  const unscheduled = (message: string, sinceMs: number) =>
    shardPod({
      phase: 'Pending',
      conditions: [
        { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message, lastTransitionTime: ago(sinceMs) },
      ],
    });
  const said =
    '0/3 nodes are available: 3 Insufficient cpu. no new claims to deallocate, preemption: 0/3 nodes are available: 3 No preemption victims.';

  it('is told with the scheduler’s reason when it lasts', () => {
    expect(told({ pods: [unscheduled(said, 2_000)] })).toEqual([]);
    const problem = one({ pods: [unscheduled(said, 20_000)] });
    expect(problem?.reason).toBe('Unschedulable');
    expect(problem?.message).toContain('0/3 nodes are available: 3 Insufficient cpu; add nodes');
    expect(problem?.message).not.toContain('preemption');
  });

  it('because its volume is not there: the volume’s reason is the one that is told', () => {
    const pods = [unscheduled('0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims.', 20_000)];
    const claim = shardClaim({ phase: 'Pending' });
    const gone = warning(
      'PersistentVolumeClaim',
      claim.metadata.name,
      'claim-1',
      'ProvisioningFailed',
      'storageclass.storage.k8s.io "fast" not found',
    );
    const problem = one({ pods, claims: [claim], events: [gone] });
    expect(problem).toMatchObject({
      reason: 'StorageClassMissing',
      message: expect.stringContaining('no StorageClass fast'),
    });
  });

  it('whose volume only waits for it: the pod’s reason is the one that is told', () => {
    expect(one({ pods: [unscheduled(said, 40_000)], claims: [shardClaim({ phase: 'Pending' })] })).toMatchObject({
      reason: 'Unschedulable',
    });
  });

  it('because it was evicted, or its node is silent, or it does not go', () => {
    const evicted = { phase: 'Failed', reason: 'Evicted', message: 'The node was low on resource: ephemeral-storage.' };
    expect(one({ pods: [shardPod(evicted)] })).toMatchObject({ reason: 'Evicted' });
    const silent = {
      phase: 'Running',
      conditions: [
        { type: 'Ready', status: 'False' },
        { type: 'ContainersReady', status: 'True' },
      ],
    };
    expect(one({ pods: [shardPod(silent)] })).toMatchObject({ reason: 'NodeLost' });
    const stays = shardPod({ phase: 'Running' }, { deletionTimestamp: ago(60_000) });
    const problem = one({ pods: [stays] });
    expect(problem?.reason).toBe('PodTerminatingLong');
    expect(problem?.message).toContain('do not delete the pod by force while it may still run');
  });
});

describe('Secrets', () => {
  const finding = { name: 'own', path: 'spec.credentials.users[0].passwordSecretRef', requiredKeys: ['password', 'x'] };

  it('that are missing or incomplete are told with the place in the spec', () => {
    expect(one({ secrets: [{ ...finding, keys: null }] })).toEqual({
      reason: 'SecretMissing',
      message:
        'Secret own (spec.credentials.users[0].passwordSecretRef) is not there; make it with the keys password, x',
    });
    expect(one({ secrets: [{ ...finding, keys: ['x'] }] })).toEqual({
      reason: 'SecretIncomplete',
      message: 'Secret own (spec.credentials.users[0].passwordSecretRef) has no password; add it',
    });
    expect(told({ secrets: [{ ...finding, keys: ['x', 'password'] }] })).toEqual([]);
  });

  it('that a pod mounts and that are missing are told from the events', () => {
    const pod = shardPod(waiting('ContainerCreating', ''));
    const event = (text: string) =>
      warning('Pod', 'bank-shard-1-0', 'pod-1', 'FailedMount', `MountVolume.SetUp failed for volume "tls" : ${text}`);
    expect(one({ pods: [pod], events: [event('secret "bank-tls" not found')] })).toMatchObject({
      reason: 'SecretMissing',
      message: expect.stringContaining('Secret bank-tls is not there'),
    });
    expect(one({ pods: [pod], events: [event('references non-existent secret key: tls.crt')] })).toMatchObject({
      reason: 'SecretIncomplete',
    });
    expect(one({ pods: [pod], events: [event('rpc error: disk is attached elsewhere')] })).toMatchObject({
      reason: 'VolumeNotMounted',
    });
  });

  it('and volumes that a pod has only just asked for are on their way', () => {
    const event = warning('Pod', 'bank-shard-1-0', 'pod-1', 'FailedMount', 'object "test"/"bank-tls" not registered');
    const scheduled = (ms: number) => [{ type: 'PodScheduled', status: 'True', lastTransitionTime: ago(ms) }];
    const pod = (ms: number) => shardPod({ ...waiting('ContainerCreating', ''), conditions: scheduled(ms) });
    expect(told({ pods: [pod(9_000)], events: [event] })).toEqual([]);
    expect(told({ pods: [pod(11_000)], events: [event] })).toHaveLength(1);
    const secret = (ms: number) => ({
      ...waiting('CreateContainerConfigError', 'secret "bank-superuser" not found'),
      conditions: scheduled(ms),
    });
    expect(told({ pods: [shardPod(secret(9_000))] })).toEqual([]);
    expect(one({ pods: [shardPod(secret(11_000))] })).toMatchObject({ reason: 'SecretMissing' });
  });

  it('events of a former pod of the same name, and old ones, are left out', () => {
    const pod = shardPod(waiting('ContainerCreating', ''));
    const event = warning('Pod', 'bank-shard-1-0', 'pod-0', 'FailedMount', 'secret "x" not found');
    expect(told({ pods: [pod], events: [event] })).toEqual([]);
    const old = { ...event, involvedObject: { ...event.involvedObject, uid: 'pod-1' }, lastTimestamp: ago(3_600_000) };
    expect(told({ pods: [pod], events: [old] })).toEqual([]);
  });
});

describe('volumes', () => {
  const about = (reason: string, message: string) =>
    warning('PersistentVolumeClaim', 'data-bank-shard-1-0', 'claim-1', reason, message);

  it('that no class makes, that wait, and that are gone', () => {
    const noDefault = { ...shardClaim({ phase: 'Pending' }), spec: {} };
    const event = about('FailedBinding', 'no persistent volumes available for this claim and no storage class is set');
    expect(one({ claims: [noDefault], events: [event] })).toMatchObject({
      reason: 'StorageClassMissing',
      message: expect.stringContaining('no default StorageClass'),
    });
    const full = about('ProvisioningFailed', 'pool exhausted');
    expect(one({ claims: [shardClaim({ phase: 'Pending' })], events: [full] })).toMatchObject({
      reason: 'VolumePending',
      message: expect.stringContaining('pool exhausted'),
    });
    expect(one({ claims: [shardClaim({ phase: 'Lost' }, { volumeName: 'pv-7' })] })).toMatchObject({
      reason: 'VolumeLost',
      message: expect.stringContaining('pv-7'),
    });
    const young = { ...shardClaim({ phase: 'Pending' }) };
    const fresh = { ...young, metadata: { ...young.metadata, creationTimestamp: ago(1_000) } };
    expect(told({ claims: [fresh] })).toEqual([]);
  });

  it('that do not grow', () => {
    const wanted = { resources: { requests: { storage: '20Gi' } } };
    const growing = { phase: 'Bound', capacity: { storage: '10Gi' } };
    expect(told({ claims: [shardClaim(growing, wanted)] })).toEqual([]);
    const refused = {
      ...growing,
      conditions: [{ type: 'ControllerResizeError', status: 'True', message: 'quota exceeded' }],
    };
    expect(one({ claims: [shardClaim(refused, wanted)] })).toEqual({
      reason: 'ResizeFailed',
      message: 'The volume does not grow to 20Gi: quota exceeded',
    });
    expect(one({ claims: [shardClaim(growing, wanted)], events: [about('VolumeResizeFailed', 'no')] })).toMatchObject({
      reason: 'ResizeFailed',
    });
    // The capacity is said in other words, and is enough.
    const grown = { ...refused, capacity: { storage: '21474836480' } };
    expect(told({ claims: [shardClaim(grown, wanted)] })).toEqual([]);
  });
});

describe('the list', () => {
  it('names pods that cannot be made, on their set', () => {
    const set = { metadata: { name: 'bank-proxy', uid: 'set-1' }, spec: { replicas: 2 }, status: { replicas: 1 } };
    const event = warning('StatefulSet', 'bank-proxy', 'set-1', 'FailedCreate', 'exceeded quota: pods=10');
    expect(one({ statefulSets: [set], events: [event] })).toEqual({
      reason: 'PodNotCreated',
      message: 'A pod of bank-proxy cannot be made: exceeded quota: pods=10',
    });
    expect(told({ statefulSets: [{ ...set, status: { replicas: 2 } }], events: [event] })).toEqual([]);
  });

  it('has what all share first, then shards by number, then proxies, and who is afflicted', () => {
    const image = waiting('ErrImagePull', 'not found');
    const shard = (index: number) =>
      shardPod(image, {
        name: `bank-shard-${index}-0`,
        labels: { 'app.kubernetes.io/component': 'shard', 'atomshard.dev/shard': `shard-${index}` },
      });
    const secrets = [{ name: 's', path: 'p', requiredKeys: [], keys: null }];
    const problems = diagnose(children({ pods: [proxyPod(image), shard(10), shard(2)], secrets, nowMs: NOW_MS }));
    expect(problems.map(({ of }) => of)).toEqual([
      { kind: 'cluster' },
      { kind: 'shard', name: 'shard-2' },
      { kind: 'shard', name: 'shard-10' },
      { kind: 'proxy', name: 'bank-proxy-0' },
    ]);
  });

  it('is empty for children that are well, and for what is only on its way', () => {
    const starting = waiting('ContainerCreating', '');
    expect(told({ pods: [shardPod(starting), proxyPod(starting)], claims: [shardClaim({ phase: 'Bound' })] })).toEqual(
      [],
    );
  });
});
