// Every way in which a log can refuse to serve, as typed errors with a closed code; each says what, where and what to do.

export type WalErrorCode = 'wal_locked' | 'wal_damaged' | 'wal_failed' | 'wal_closed' | 'wal_record_refused';

export class WalError extends Error {
  override readonly name: string = 'WalError';
  readonly code: WalErrorCode;

  constructor(code: WalErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Another process (or another open log in this one) holds the directory. */
export class WalLockedError extends WalError {
  override readonly name = 'WalLockedError';
  readonly directory: string;
  readonly holder: string;

  constructor(directory: string, holder: string) {
    super(
      'wal_locked',
      `the log directory ${directory} is in use by ${holder}; stop that process first, or give this one its own directory`,
    );
    this.directory = directory;
    this.holder = holder;
  }
}

/** The log holds bytes that no crash explains; nothing was changed. */
export class WalDamageError extends WalError {
  override readonly name = 'WalDamageError';
  readonly file: string;
  /** Byte offset of the first thing that cannot be believed. */
  readonly offset: number;
  readonly reason: string;

  constructor(directory: string, file: string, offset: number, reason: string) {
    super(
      'wal_damaged',
      `the log is damaged: ${directory}/${file} at byte ${offset}: ${reason}. Nothing was changed. ` +
        'Look with `atomshard wal verify` and `atomshard wal dump`; restore the directory from its volume or a copy, ' +
        'or let `atomshard wal repair` show what cutting the log there would lose',
    );
    this.file = file;
    this.offset = offset;
    this.reason = reason;
  }
}

/** A write or a sync failed: this log acknowledges nothing any more, in this process, ever. */
export class WalFailedError extends WalError {
  override readonly name = 'WalFailedError';

  constructor(operation: string, cause: unknown) {
    const why = cause instanceof Error ? cause.message : String(cause);
    super('wal_failed', `the log failed while it ${operation}: ${why}; the process must end and recover from the log`, {
      cause,
    });
  }
}

export const walClosed = (): WalError => new WalError('wal_closed', 'the log is closed');

/** The code of a system error (`ENOSPC`), or undefined. */
export function systemErrorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** True when the disk or the quota is full: the one write error that preparing space ahead may survive. */
export const isNoSpace = (error: unknown): boolean => ['ENOSPC', 'EDQUOT'].includes(systemErrorCode(error) ?? '');
