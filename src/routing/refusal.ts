// Refusals: what is not certain is answered with 0A000, naming the tables and the way out. One place for their words.
import type { Route, RoutingError } from './plan.ts';

export const FEATURE_NOT_SUPPORTED = '0A000';

export const HINT_BY_HAND =
  'Name the shard in a leading comment: /* atomshard: shard=… */, or the key: /* atomshard: key=… */.';

export type Refused = Extract<Route, { kind: 'refused' }>;

/** A route that refuses with 0A000. */
export function refuse(message: string, hint?: string, detail?: string): Refused {
  return { kind: 'refused', error: featureError(message, hint, detail) };
}

export function featureError(message: string, hint?: string, detail?: string): RoutingError {
  return {
    code: FEATURE_NOT_SUPPORTED,
    message,
    ...(detail === undefined ? {} : { detail }),
    ...(hint === undefined ? {} : { hint }),
  };
}

/** A route that refuses with another SQLSTATE. */
export function refuseWith(code: string, message: string, hint?: string): Refused {
  return { kind: 'refused', error: hint === undefined ? { code, message } : { code, message, hint } };
}

/** `the shard key "id" of public.accounts` for one table, a list for more. */
export function bindHint(
  tables: readonly { readonly schema: string; readonly name: string; readonly key: string }[],
): string {
  const keys = [...new Set(tables.map((table) => `${table.key} of ${table.schema}.${table.name}`))];
  return `Bind the shard key (${keys.join(', ')}) to one value. Otherwise: ${HINT_BY_HAND}`;
}
