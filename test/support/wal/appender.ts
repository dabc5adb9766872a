// A process that appends to a log and prints `<lsn> <payload>` for each record it was told is committed, until it dies.
//
//   node appender.ts <directory> <segmentBytes> <writers> [hook url]

import { writeSync } from 'node:fs';
import { FileStorage } from '../../../src/wal/file-storage.ts';
import { openWal } from '../../../src/wal/wal.ts';

const [directory = '', segmentBytes = '65536', writers = '8', hook] = process.argv.slice(2);
const storage = new FileStorage(directory, hook === undefined ? {} : { syncHook: new URL(hook) });
const options = { directory, segmentBytes: Number(segmentBytes), reserveBytes: 4096, storage, holder: 'appender' };
const opened = await openWal(options, () => undefined);
const wal = await opened.start(new TextEncoder().encode('checkpoint'));
void wal.failed.then((failure) => {
  writeSync(2, `${failure.message}\n`);
  process.exit(70);
});
print('ready');
let count = 0;
await Promise.all(
  Array.from({ length: Number(writers) }, async () => {
    for (;;) {
      const payload = `${process.pid}-${count++}`.padEnd(40 + (count % 90), '.');
      const lsn = await wal.append(16, new TextEncoder().encode(payload));
      // Synchronous, so that the line is out before anything else happens in this process.
      print(`${lsn} ${payload}`);
    }
  }),
);

/** The pipe does not block: while its reader is slow, the same bytes are offered again. */
function print(line: string): void {
  const bytes = Buffer.from(`${line}\n`);
  for (let done = 0; done < bytes.length; ) {
    try {
      done += writeSync(1, bytes, done);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) throw error;
    }
  }
}
