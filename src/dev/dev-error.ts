// What can go wrong before a shard of one's own runs; each code has one remedy, and the message says it.

export type DevErrorCode =
  | 'package-missing'
  | 'install-failed'
  | 'no-account'
  | 'closed-directory'
  | 'foreign-directory'
  | 'other-major'
  | 'in-use'
  | 'initdb-failed'
  | 'start-failed'
  | 'stop-failed'
  | 'bad-document';

/** An expected failure of `atomshard dev` and of embedded servers; the message is a sentence for the user. */
export class DevError extends Error {
  override readonly name = 'DevError';
  readonly code: DevErrorCode;
  constructor(code: DevErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}
