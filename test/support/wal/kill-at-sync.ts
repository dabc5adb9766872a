// A hook for the log's writing thread that kills the process at the nth time it comes by a place:
// `kill-at-sync.ts?place=fsync.before&nth=20`.

import type { SyncHook } from '../../../src/wal/log-files.ts';

const { searchParams } = new URL(import.meta.url);
const wanted = searchParams.get('place');
let left = Number(searchParams.get('nth'));

export const syncHook: SyncHook = (place) => {
  if (place !== wanted) return;
  left -= 1;
  if (left === 0) process.kill(process.pid, 'SIGKILL');
};
