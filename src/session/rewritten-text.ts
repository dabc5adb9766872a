// Errors about a text that the proxy changed before it sent it. The rule: a position points into the client's own text, or
// there is none.

import { errorResponse } from '../protocol/server-message.ts';
import { readSqlError } from '../protocol/server-message-reader.ts';
import type { SqlError } from '../protocol/sql-error.ts';
import { clientPosition } from '../routing/column-list.ts';
import type { Rewritten } from '../routing/plan.ts';
import type { OtherError } from './relay.ts';

export type Correction = (error: SqlError) => SqlError;

/** For one text with a piece put in. */
export function correctionFor(rewritten: Rewritten): Correction {
  return (error) =>
    error.position === undefined
      ? error
      : { ...error, position: String(clientPosition(rewritten, Number(error.position))) };
}

/** For texts out of which rows were taken, or when it is not certain which of several texts an error is about. */
export const withoutPosition: Correction = (error) => ({ ...error, position: undefined });

/** For replies that are passed on as they come: `first` may tell the error otherwise before it is corrected. */
export function correctingErrors(
  correct: Correction | undefined,
  first: OtherError | undefined,
): OtherError | undefined {
  if (correct === undefined) return first;
  return (chunk, start, end) => first?.(chunk, start, end) ?? errorResponse(correct(readSqlError(chunk, start, end)));
}
