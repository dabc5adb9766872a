// What we use of fs-native-extensions, which comes without types: an open-file-description lock (flock on macOS).

declare module 'fs-native-extensions' {
  /** Locks the whole file exclusively; false when another open file holds it. Released when `fd` is closed. */
  export function tryLock(fd: number): boolean;
}
