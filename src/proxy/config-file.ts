// The configuration as a file that may change: read whole, named by the hash of its bytes, never half in force.
import { createHash } from 'node:crypto';
import { checkInstance, type ProxyConfig, parseProxyConfig, readConfigBytes } from './config.ts';

export interface LoadedConfig {
  readonly config: ProxyConfig;
  /** Hexadecimal SHA-256 of the file's bytes. */
  readonly sha256: string;
}

export class ConfigFile {
  readonly path: string;
  readonly #instance: string | undefined;

  /** `instance` stands above the file's, so that all proxies of a cluster can share one. */
  constructor(path: string, instance?: string) {
    this.path = path;
    this.#instance = instance === undefined ? undefined : checkInstance(instance);
  }

  /** Reads and checks the file as it is now. Throws ConfigError with every problem. */
  load(): LoadedConfig {
    const bytes = readConfigBytes(this.path);
    const config = parseProxyConfig(bytes.toString('utf8'), this.path);
    return { config: { ...config, instance: this.#instance ?? config.instance }, sha256: sha256Of(bytes) };
  }
}

export function sha256Of(bytes: Buffer | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}
