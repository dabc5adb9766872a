// What a command of the admin database answers, and its bytes; the same for every command, so that none has its own way.
import { commandComplete, dataRow, NO_DATA, rowDescription, textField } from '../../protocol/server-message.ts';
import type { SqlError } from '../../protocol/sql-error.ts';
import type { AdminColumn } from './command-table.ts';
import { type AdminValue, binaryOf, TYPE_FACTS, textOf } from './value.ts';

export type AdminRow = readonly AdminValue[];

export type AdminAnswer =
  | { readonly kind: 'rows'; readonly tag: string; readonly rows: readonly AdminRow[] }
  | { readonly kind: 'done'; readonly tag: string; readonly notices?: readonly SqlError[] }
  | { readonly kind: 'error'; readonly error: SqlError };

/** A column without its help; what SELECT and SHOW of a parameter answer has none. */
export type ShownColumn = Pick<AdminColumn, 'name' | 'type'>;

/** RowDescription, or NoData for a command without rows. `formats` as in a Bind: none, one for all, or one each. */
export function describeColumns(columns: readonly ShownColumn[], formats: readonly number[]): Buffer {
  if (columns.length === 0) return NO_DATA;
  const fields = columns.map(({ name, type }, index) => {
    const { oid, size } = TYPE_FACTS[type];
    return { ...textField(name, oid, size), format: formatAt(formats, index) };
  });
  return rowDescription(fields);
}

export function encodeRow(columns: readonly ShownColumn[], row: AdminRow, formats: readonly number[]): Buffer {
  return dataRow(
    columns.map(({ type }, index) => {
      const value = row[index] ?? null;
      return formatAt(formats, index) === 1 ? binaryOf(type, value) : textOf(type, value);
    }),
  );
}

export function tagOf(answer: Extract<AdminAnswer, { kind: 'rows' | 'done' }>): Buffer {
  const rows = answer.kind === 'rows' && answer.tag !== 'SHOW' ? ` ${answer.rows.length}` : '';
  return commandComplete(`${answer.tag}${rows}`);
}

function formatAt(formats: readonly number[], index: number): number {
  return formats.length === 1 ? (formats[0] ?? 0) : (formats[index] ?? 0);
}
