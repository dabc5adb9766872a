// What Kubernetes, the operator and the proxies said since a moment, for whoever asks why a round went wrong.
import { OPERATOR } from './operator.ts';
import type { System } from './system.ts';

const LINES_MAX = 60;
const LINE_MAX = 300;

/** Never rejects: what cannot be asked says so itself. */
export async function cluesSince(system: System, sinceMs: number): Promise<string> {
  const seconds = Math.ceil((Date.now() - sinceMs) / 1_000);
  const logs = (pod: string) => ['logs', pod, '--all-containers', `--since=${seconds}s`, `--tail=${LINES_MAX}`];
  const columns = [
    'AT:.metadata.creationTimestamp',
    'AGAIN:.series.lastObservedTime',
    'REASON:.reason',
    'OF:.involvedObject.name',
    'NOTE:.message',
  ];
  const events = [
    'get',
    'events',
    '--sort-by=.metadata.creationTimestamp',
    '-o',
    `custom-columns=${columns.join(',')}`,
  ];
  const proxies = Array.from({ length: system.proxies }, (_, proxy) => system.proxyPod(proxy));
  const asked = [
    { title: 'pods', args: ['get', 'pods,pvc,jobs', '-o', 'wide'] },
    { title: 'events', args: events },
    { title: 'the operator', args: logs(`deployment/${OPERATOR}`) },
    ...proxies.map((pod) => ({ title: pod, args: logs(pod) })),
  ];
  const parts = [];
  for (const { title, args } of asked) {
    const { stdout, stderr } = await system.kubectl.try(['--request-timeout=10s', ...args]).catch(saidNothing);
    const lines = (stdout + stderr).trimEnd().split('\n').slice(-LINES_MAX);
    parts.push(`--- ${title}`, ...lines.map((line) => line.slice(0, LINE_MAX)));
  }
  return parts.join('\n');
}

const saidNothing = (error: unknown) => ({ stdout: '', stderr: String(error) });
