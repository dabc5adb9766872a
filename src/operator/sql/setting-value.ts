// Whether two spellings of a setting's value mean the same: `128MB`, `'131072kB'` and pg_settings' 16384 × 8kB do. Pure.
//
// The rule: the server reads numbers as guc.c does (units, hexadecimal, rounding to whole units); where this file is in doubt
// the two are different, and a setting that differs for ever is shown rather than one that was never taken over.

/** A row of pg_settings, as far as the meaning of values goes. */
export interface SettingType {
  /** In lower case. */
  readonly name: string;
  readonly vartype: string;
  /** e.g. `8kB`, `ms`, `MB`; null without one. */
  readonly unit: string | null;
}

const MEMORY_BYTES: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1024,
  MB: 1024 ** 2,
  GB: 1024 ** 3,
  TB: 1024 ** 4,
};
const TIME_US: Readonly<Record<string, number>> = {
  us: 1,
  ms: 1e3,
  s: 1e6,
  min: 60e6,
  h: 3600e6,
  d: 86_400e6,
};

/** Texts that the server shows in its own spelling: `utf-8` as UTF8, `iso,mdy` as ISO, MDY, `utc` as UTC. */
const RESPELLED: readonly string[] = ['client_encoding', 'datestyle', 'timezone', 'log_timezone'];

/** True when `desired`, as written in postgresql.conf, means what pg_settings shows as `setting` (in `unit`s). */
export function sameSetting(desired: string, setting: string, { name, vartype, unit }: SettingType): boolean {
  if (desired === setting) return true;
  switch (vartype) {
    case 'bool':
      return readBool(desired) !== undefined && readBool(desired) === readBool(setting);
    case 'integer': {
      const number = readNumber(desired, unit);
      return number !== undefined && roundHalfEven(number) === Number(setting);
    }
    case 'real':
      return readNumber(desired, unit) === Number(setting);
    case 'enum':
      return desired.toLowerCase() === setting.toLowerCase() || sameWord(desired, setting);
    default:
      return RESPELLED.includes(name) ? letters(desired) === letters(setting) : sameList(desired, setting);
  }
}

/** As parse_bool does: any unambiguous beginning of true, false, yes, no, on, off; 1 and 0. */
function readBool(text: string): boolean | undefined {
  const word = text.trim().toLowerCase();
  if (word === '1') return true;
  if (word === '0') return false;
  if (word === '' || word === 'o') return undefined;
  if (['true', 'yes', 'on'].some((whole) => whole.startsWith(word))) return true;
  if (['false', 'no', 'off'].some((whole) => whole.startsWith(word))) return false;
  return undefined;
}

/** Enums that take booleans show them as on and off. */
function sameWord(one: string, other: string): boolean {
  const meaning = readBool(one);
  return meaning !== undefined && meaning === readBool(other);
}

/** The number in `unit`s; undefined when the text is none, or its unit does not fit. */
function readNumber(text: string, unit: string | null): number | undefined {
  const match = /^\s*([+-]?(?:0x[0-9a-f]+|(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?))\s*([A-Za-z]*)\s*$/i.exec(text);
  if (match === null) return undefined;
  const [, digits = '', written = ''] = match;
  // C reads a leading zero as octal.
  const number = /^[+-]?0[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number(digits);
  if (Number.isNaN(number)) return undefined;
  if (written === '') return number;
  const base = /^(\d*)([A-Za-z]+)$/.exec(unit ?? '');
  if (base === null) return undefined;
  const [, times = '', baseUnit = ''] = base;
  for (const table of [MEMORY_BYTES, TIME_US]) {
    const [from, to] = [table[written], table[baseUnit]];
    if (from !== undefined && to !== undefined) return (number * from) / (to * Number(times === '' ? 1 : times));
  }
  return undefined;
}

/** rint(): the even one of two that are equally near. */
function roundHalfEven(number: number): number {
  const below = Math.floor(number);
  const rest = number - below;
  if (rest !== 0.5) return Math.round(number);
  return below % 2 === 0 ? below : below + 1;
}

const letters = (text: string) => text.toLowerCase().replaceAll(/[^a-z0-9/+]/g, '');

/** Lists are stored as written; only the blanks around commas do not matter. */
function sameList(one: string, other: string): boolean {
  const plain = (text: string) => text.replaceAll(/\s*,\s*/g, ',').trim();
  return plain(one) === plain(other);
}
