// Makes the database and its users on a shard; again and again without harm, because every start does it.
import pg from 'pg';

/** Quotes an identifier for SQL. */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Creates what is missing of `users` (who may log in) and of `database` (owned by the first user) on the server at `url`. */
export async function ensureDatabase(url: string, database: string, users: readonly string[]): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    for (const user of users) {
      const found = await client.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [user]);
      if (found.rowCount === 0) await client.query(`CREATE ROLE ${quoteIdentifier(user)} LOGIN`);
    }
    const found = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [database]);
    if (found.rowCount === 0) {
      const owner = users[0] === undefined ? '' : ` OWNER ${quoteIdentifier(users[0])}`;
      await client.query(`CREATE DATABASE ${quoteIdentifier(database)}${owner}`);
    }
  } finally {
    await client.end();
  }
}
