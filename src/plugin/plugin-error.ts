// Why a command of the plugin ends without success, with the exit code that says which kind of end it is.

/** ok · failed: something went wrong · usage: the command line · refused: the operator, or the person asked, said no. */
export const EXIT = { ok: 0, failed: 1, usage: 2, refused: 3 } as const;

export class PluginError extends Error {
  override readonly name = 'PluginError';
  readonly exitCode: number;

  constructor(message: string, exitCode: number = EXIT.failed) {
    super(message);
    this.exitCode = exitCode;
  }
}
