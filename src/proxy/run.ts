// `atomshard proxy`: starts the proxy in this process, says when it is ready, and ends it on signals. Exit codes:
// 0 clean stop · 1 unexpected · 2 configuration · 3 the log is locked or damaged · 4 the log failed while running.
import type { ControlPoint } from '../kernel/control-point.ts';
import { TopologyError } from '../routing/topology.ts';
import { createLog, type Logger } from '../telemetry/log.ts';
import { WalDamageError, WalLockedError } from '../wal/errors.ts';
import { ConfigError } from './config.ts';
import { ConfigFile } from './config-file.ts';
import { type RunningProxy, startProxy } from './proxy.ts';

export const EXIT = { clean: 0, unexpected: 1, configuration: 2, logRefused: 3, logFailed: 4 } as const;

export interface RunOptions {
  /** Stands above the instance in the file. */
  readonly instance?: string;
  /** Tests only. */
  readonly controlPoint?: ControlPoint;
  /** Tests only; see ProxyDeps. */
  readonly syncHook?: URL;
  readonly stdout?: NodeJS.WritableStream;
  readonly stderr?: NodeJS.WritableStream;
}

/** Runs until a signal or a failure ends it; resolves with the exit code. */
export async function runProxy(configFile: string, options: RunOptions = {}): Promise<number> {
  const { stdout = process.stdout, stderr = process.stderr } = options;
  try {
    const file = new ConfigFile(configFile, options.instance);
    const loaded = file.load();
    const { config } = loaded;
    const log = createLog(config.log.level, { instance: config.instance });
    const { controlPoint, syncHook } = options;
    const forTests = { ...(controlPoint && { controlPoint }), ...(syncHook && { syncHook }) };
    const asked = firstSignal(log);
    const starting = startProxy(config, { log, from: { file, loaded }, ...forTests });
    starting.catch(() => undefined);
    // A signal before it is ready ends it at once, which is safe: the next start does what this one would have done.
    const proxy = await Promise.race([starting, asked]);
    if (proxy === 'signal') return EXIT.clean;
    stdout.write(`${readyLine(proxy)}\n`);
    process.on('SIGHUP', () => {
      proxy.reload().catch((error: unknown) => log.error({ err: error }, 'the configuration could not be reloaded'));
    });
    return await untilEnd(proxy, asked, log);
  } catch (error) {
    stderr.write(`atomshard proxy: ${error instanceof Error ? error.message : String(error)}\n`);
    const code = exitCodeOf(error);
    if (code === EXIT.unexpected && error instanceof Error) stderr.write(`${error.stack ?? ''}\n`);
    return code;
  }
}

/** The line that says the proxy takes clients. */
export function readyLine({ host, port, instance, epoch, firstPass }: RunningProxy): string {
  const inDoubt = firstPass.held.length + firstPass.waiting;
  return `atomshard proxy ready on ${host}:${port} (instance ${instance}, epoch ${epoch}, in doubt ${inDoubt})`;
}

/** Which exit code an error of the start deserves; `atomshard dev` answers alike. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof ConfigError || error instanceof TopologyError) return EXIT.configuration;
  if (error instanceof WalLockedError || error instanceof WalDamageError) return EXIT.logRefused;
  return EXIT.unexpected;
}

/** The first SIGTERM or SIGINT drains, the second stops at once, which is safe: the next start recovers. */
function firstSignal(log: Logger): Promise<'signal'> {
  return new Promise((resolve) => {
    let times = 0;
    const onSignal = (signal: NodeJS.Signals) => {
      times++;
      if (times > 1) process.exit(EXIT.clean);
      log.info({ signal }, 'draining; a second signal stops at once');
      resolve('signal');
    };
    process.on('SIGTERM', onSignal);
    process.on('SIGINT', onSignal);
  });
}

async function untilEnd(proxy: RunningProxy, asked: Promise<'signal'>, log: Logger): Promise<number> {
  const ended = await Promise.race([asked, proxy.failed.then((failure) => ({ failure }))]);
  if (ended === 'signal') {
    await proxy.stop();
    return EXIT.clean;
  }
  // Whatever was prepared stays prepared; nothing may be acknowledged by this process any more.
  log.fatal(
    { err: ended.failure },
    'the write-ahead log has failed; exiting so that the next start recovers from what is on the disk',
  );
  return EXIT.logFailed;
}
