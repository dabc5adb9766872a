// What the harness says while it works: to standard error, so that standard output stays for what a shell evaluates.
export interface Report {
  /** A line with the seconds since the start of the command. */
  step(text: string): void;
  /** A line of its own, without a time. */
  say(text: string): void;
}

/** Writes to `sink`; `startedMs` is a monotonic time. */
export function reportTo(sink: (text: string) => void, startedMs = performance.now()): Report {
  return {
    step: (text) => sink(`${((performance.now() - startedMs) / 1000).toFixed(2).padStart(8)} s  ${text}\n`),
    say: (text) => sink(`${text}\n`),
  };
}

export const stderrReport = (): Report => reportTo((text) => process.stderr.write(text));

export const silentReport: Report = { step: () => undefined, say: () => undefined };
