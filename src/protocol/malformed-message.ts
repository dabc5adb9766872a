// The one error that decoders throw: bytes that are not the message they claim to be; it costs one connection only.
import { SQLSTATE, type SqlError } from './sql-error.ts';

/** A frame whose body breaks the protocol. `code` is 08P01 unless PostgreSQL itself has a closer one (22021, 22023). */
export class MalformedMessage extends Error {
  override readonly name = 'MalformedMessage';
  readonly code: string;

  constructor(message: string, code: string = SQLSTATE.protocolViolation) {
    super(message);
    this.code = code;
  }

  /** What to tell a client before its connection is closed. */
  toSqlError(severity: 'ERROR' | 'FATAL' = 'FATAL'): SqlError {
    return { severity, code: this.code, message: this.message };
  }
}

/** SQLSTATE of text that is not valid in the client's encoding. */
export const CHARACTER_NOT_IN_REPERTOIRE = '22021';
/** SQLSTATE of a parameter value that is known and wrong, e.g. format code 2. */
export const INVALID_PARAMETER_VALUE = '22023';
