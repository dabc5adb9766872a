// How long to wait after the n-th failure in a row: twice as long each time, and never all at the same moment.

export interface BackoffBounds {
  readonly minMs: number;
  readonly maxMs: number;
}

/** Waiting time after `failures` (≥ 1) failures in a row: between half and all of the bound; `random` is in [0, 1). */
export function backoffMs(failures: number, { minMs, maxMs }: BackoffBounds, random: () => number): number {
  const fullMs = Math.min(maxMs, minMs * 2 ** Math.min(failures - 1, 30));
  return fullMs * (0.5 + random() / 2);
}
