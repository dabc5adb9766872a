// Broken invariants end the process: an assert that fails means that the code, not the input, is wrong.

/** Thrown when an invariant of ours is broken; nothing catches it, so the process ends. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

/** Ends the process (by an uncaught InvariantError) when `condition` is false; `message` names the invariant. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}

/** Marks a branch that the types say is impossible. */
export function unreachable(value: never): never {
  throw new InvariantError(`unreachable: ${String(value)}`);
}
