// What logins are judged by, made from a configuration: users' verifiers are derived here, once for each reload.
import { authenticationRules } from '../session/authentication.ts';
import { ClientEncryption, type EncryptionDeps } from './client-encryption.ts';
import type { ProxyConfig } from './config.ts';
import type { LoginSettings } from './listener.ts';

/** Rejects with ConfigError when the configuration names files that cannot be used. */
export async function loginSettings(config: ProxyConfig, deps: EncryptionDeps): Promise<LoginSettings> {
  const { authentication, admin, limits, database } = config;
  // Administrators with passwords are asked for them even where clients are trusted.
  const adminMethod = admin.users.length > 0 ? 'scram-sha-256' : authentication.method;
  return {
    database,
    clientsMax: limits.clientsMax,
    frameBytesMax: limits.frameBytesMax,
    startupTimeoutMs: limits.startupTimeoutMs,
    encryption: ClientEncryption.open(config.tls, deps),
    rules: await authenticationRules(authentication.method, authentication.users),
    admin: { database: admin.database, rules: await authenticationRules(adminMethod, admin.users) },
  };
}
