// What a dead proxy's log says, read as a person would: with `atomshard wal dump`.
import { execFile } from 'node:child_process';
import path from 'node:path';

const MAIN = path.resolve(import.meta.dirname, '../../src/main.ts');

/** Transactions, as `as1:<cluster>:<instance>.<epoch>.<seq>`, whose commit stands in the log or in a checkpoint of it. */
export async function loggedCommits(walDirectory: string): Promise<ReadonlySet<string>> {
  const gids = (await dump(walDirectory)).match(/"gid":"as1:[^"]*"/g) ?? [];
  return new Set(gids.map((gid) => gid.slice('"gid":"'.length).split(':').slice(0, 3).join(':')));
}

/** Only COMMIT records and the live decisions of checkpoints carry gids; END, tombstones and watermarks have none. */
function dump(walDirectory: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { maxBuffer: 256 * 1024 * 1024 };
    execFile(process.execPath, [MAIN, 'wal', 'dump', walDirectory, '--json'], options, (error, stdout, stderr) => {
      // Exit code 1 says that something in it is damaged; a torn tail after a kill is not damage.
      if (error === null) resolve(stdout);
      else reject(new Error(`wal dump: ${error.message} ${stderr}`, { cause: error }));
    });
  });
}
