// Ctrl-C and SIGTERM clean up as the end of a run does; a second one ends at once.

/** Calls `clean` at the first signal and ends the process with 130 afterwards; the result takes it back. */
export function cleanWhenInterrupted(clean: () => Promise<unknown>): () => void {
  let times = 0;
  const interrupted = (signal: NodeJS.Signals) => {
    times += 1;
    if (times > 1) process.exit(130);
    process.stderr.write(`${signal}; removing what was made (again to leave it)\n`);
    void clean()
      .catch(() => undefined)
      .finally(() => process.exit(130));
  };
  process.on('SIGINT', interrupted).on('SIGTERM', interrupted);
  return () => process.off('SIGINT', interrupted).off('SIGTERM', interrupted);
}
