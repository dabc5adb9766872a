// Session settings (GUCs) of one client, immutable: equal contents have equal keys, so that "does this server
// connection already have them" is one string comparison on the hot path.

/** By lower-case name the statement that puts the setting in force, e.g. `SET TIME ZONE 'UTC'`, as the client wrote it. */
export interface Settings {
  readonly key: string;
  readonly statements: ReadonlyMap<string, string>;
}

export const NO_SETTINGS: Settings = { key: '', statements: new Map() };

function settingsOf(statements: ReadonlyMap<string, string>): Settings {
  if (statements.size === 0) return NO_SETTINGS;
  const key = [...statements]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, sql]) => `${name}=${sql}`)
    .join('\0');
  return { key, statements };
}

/** The settings with one more, or with one replaced. */
export function withSetting(settings: Settings, name: string, sql: string): Settings {
  return settingsOf(new Map(settings.statements).set(name.toLowerCase(), sql));
}

/** The settings without one: its value is the server's default again. */
export function withoutSetting(settings: Settings, name: string): Settings {
  const statements = new Map(settings.statements);
  statements.delete(name.toLowerCase());
  return settingsOf(statements);
}

export function quoteLiteral(text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`;
  return text.includes('\\') ? ` E${quoted.replaceAll('\\', '\\\\')}` : quoted;
}

export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** `a.b` parameters are quoted part by part. */
function settingName(name: string): string {
  return name.split('.').map(quoteIdentifier).join('.');
}

/** The statement that sets `name` to a text value, as a startup packet asks for it. */
export function setStatement(name: string, value: string): string {
  return `SET ${settingName(name)} TO ${quoteLiteral(value)}`;
}

/**
 * The statements that turn a connection with `from` into one with `to`. (A connection whose settings are not known is
 * closed, not repaired.)
 */
export function settingsDifference(from: Settings, to: Settings): string[] {
  const statements: string[] = [];
  for (const name of from.statements.keys()) {
    if (!to.statements.has(name)) statements.push(`RESET ${settingName(name)}`);
  }
  for (const [name, sql] of to.statements) {
    if (from.statements.get(name) !== sql) statements.push(sql);
  }
  return statements;
}
