// Whether a file is still the one that was read: cheap enough to be asked before every use.
import { statSync } from 'node:fs';

/** Changes whenever the file is written or exchanged. Links are followed: in a pod, mounted files are links. Throws as stat does. */
export function fileFingerprint(file: string): string {
  const { ino, size, mtimeMs, ctimeMs } = statSync(file);
  return `${ino} ${size} ${mtimeMs} ${ctimeMs}`;
}
