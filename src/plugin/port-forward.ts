// A way to one port of one pod: `kubectl port-forward` for as long as it is needed.
import type { Kubectl } from './kubectl.ts';
import { PluginError } from './plugin-error.ts';

const FORWARDING = /Forwarding from 127\.0\.0\.1:(\d+)/;

/** Runs `use` with a local port that leads to `port` of the pod. Rejects with PluginError in the words of kubectl. */
export async function withPort<Value>(
  kubectl: Kubectl,
  pod: string,
  port: number,
  use: (localPort: number) => Promise<Value>,
): Promise<Value> {
  const child = kubectl.spawn(
    ['port-forward', `pod/${pod}`, `:${port}`, '--address', '127.0.0.1'],
    ['ignore', 'pipe', 'pipe'],
  );
  try {
    const local = await new Promise<number>((resolve, reject) => {
      let said = '';
      const listen = (chunk: Buffer) => {
        said += chunk.toString();
        const found = FORWARDING.exec(said)?.[1];
        if (found !== undefined) resolve(Number(found));
      };
      child.stdout?.on('data', listen);
      child.stderr?.on('data', listen);
      child.on('error', (error) => reject(new PluginError(`kubectl cannot be run: ${error.message}`)));
      child.on('close', () => reject(new PluginError(`no way to pod ${pod}: ${said.trim()}`)));
    });
    return await use(local);
  } finally {
    child.kill();
  }
}
