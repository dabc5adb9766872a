// The configuration in force: what the process started with, and what reloads have made of it since. What needs a restart
// stays as it was at the start, and is named.

import type { ProxyConfig } from './config.ts';
import { type ConfigFile, type LoadedConfig, sha256Of } from './config-file.ts';

export class LiveConfig {
  /** What everybody reads; replaced by a reload as a whole. */
  current: ProxyConfig;
  /** As the process started. */
  readonly started: ProxyConfig;
  /** Undefined where the configuration does not come from a file; then there is nothing to reload. */
  readonly file: ConfigFile | undefined;
  /** Hexadecimal SHA-256 of the file in force. */
  sha256: string;
  /** Why the file on the disk was refused. */
  error: string | null = null;
  /** Changed keys that wait for a restart. */
  restartNeeded: readonly string[] = [];

  constructor(config: ProxyConfig, from?: { readonly file: ConfigFile; readonly loaded: LoadedConfig }) {
    this.current = config;
    this.started = config;
    this.file = from?.file;
    this.sha256 = from?.loaded.sha256 ?? sha256Of(JSON.stringify(config));
  }
}
