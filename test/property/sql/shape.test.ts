// The shape lexer against libpg-query's own scan, on random texts made of everything that has ever confused a lexer.
import fc from 'fast-check';
import { parseSync, scanSync } from 'libpg-query';
import { describe, expect, it } from 'vitest';
import { Lexer, TOKEN } from '../../../src/sql/lexer.ts';
import { loadParser } from '../../../src/sql/parser.ts';
import { holeText, shapeOf } from '../../../src/sql/shape.ts';

await loadParser();

const PIECES = [
  'select',
  'SELECT',
  'from',
  'where',
  'in',
  'and',
  'e',
  'E',
  'b',
  'x',
  'N',
  'n',
  'u',
  'U',
  'a1',
  '_x',
  'é',
  'x$1',
  'null',
  "'",
  "''",
  "'a'",
  "'it''s'",
  "E'a\\'b'",
  "e'\\\\'",
  "B'01'",
  "X'1F'",
  "N'n'",
  "U&'\\0041'",
  'U&"d\\0061t"',
  "'\\'",
  "'--'",
  "'/*'",
  '"',
  '""',
  '"a""b"',
  '"\'"',
  '$1',
  '$2',
  '$',
  '$$',
  '$$a$$',
  "$t$'$t$",
  '$t$',
  '$1a',
  '1',
  '42',
  '007',
  '2147483647',
  '2147483648',
  '99999999999999999999',
  '1.5',
  '.5',
  '1.',
  '1..2',
  '1e5',
  '1e',
  '1E+5',
  '0x1F',
  '0b1',
  '0o7',
  '1_000',
  '1_',
  '12a',
  '-',
  '--',
  '-- c\n',
  '--c',
  '/*',
  '*/',
  '/* c */',
  '/* /* n */ */',
  '/',
  '*',
  '+',
  '->',
  '->>',
  '=-',
  '@-',
  '<>',
  '!=',
  '::',
  ':',
  '|',
  '(',
  ')',
  '[',
  ']',
  ',',
  ';',
  '.',
  '..',
  ' ',
  '  ',
  '\n',
  '\t',
  '\r',
  '\f',
  '?',
  '#',
  '~',
  '^',
  '%',
  '&',
  '\\',
];

const messy = fc.array(fc.constantFrom(...PIECES), { maxLength: 14 }).map((pieces) => pieces.join(''));
const spaced = fc.array(fc.constantFrom(...PIECES), { maxLength: 14 }).map((pieces) => pieces.join(' '));
const anything = fc.oneof(
  messy,
  spaced,
  fc.string({ maxLength: 30 }).filter((text) => !text.includes('\0')),
);

interface Piece {
  readonly kind: string;
  readonly text: string;
}

/** Token numbers of libpg-query 18: USCONST, BCONST and XCONST have no names there. */
const SCAN_KINDS: Readonly<Record<number, string>> = {
  261: 'string',
  262: 'string',
  263: 'string',
  264: 'string',
  260: 'float',
  266: 'integer',
  267: 'parameter',
  275: 'comment',
  276: 'comment',
};

/** Literals, parameters and comments as the real scanner sees them; undefined when it refuses the text. */
function scanned(text: string): Piece[] | undefined {
  try {
    const bytes = Buffer.from(text);
    return scanSync(text).tokens.flatMap((token) => {
      const kind = SCAN_KINDS[token.tokenType];
      return kind === undefined ? [] : [{ kind, text: bytes.toString('utf8', token.start, token.end) }];
    });
  } catch {
    return undefined;
  }
}

const OURS: Readonly<Record<number, string>> = {
  [TOKEN.string]: 'string',
  [TOKEN.otherString]: 'string',
  [TOKEN.integer]: 'integer',
  [TOKEN.largeInteger]: 'float',
  [TOKEN.decimal]: 'float',
  [TOKEN.parameter]: 'parameter',
  [TOKEN.comment]: 'comment',
};

function lexed(text: string): Piece[] | undefined {
  const lexer = new Lexer(text);
  const pieces: Piece[] = [];
  for (let kind = lexer.next(); kind !== TOKEN.end; kind = lexer.next()) {
    if (kind === TOKEN.malformed) return undefined;
    const name = OURS[kind];
    if (name !== undefined) pieces.push({ kind: name, text: lexer.slice() });
  }
  return pieces;
}

/** Without what the scan tells otherwise: the N of N'…' is a keyword of its own, integers may be written in base 16. */
function comparable(pieces: readonly Piece[]): Piece[] {
  return pieces.map(({ kind, text }) => ({
    kind: kind === 'integer' || kind === 'float' ? (/^\d+$/.test(text) ? kind : 'number') : kind,
    text: kind === 'string' ? text.replace(/^[nN](?=')/, '') : text,
  }));
}

describe('the lexer and PostgreSQL', () => {
  it('see the same literals, parameters and comments in every text that both accept', () => {
    let both = 0;
    fc.assert(
      fc.property(anything, (text) => {
        const theirs = scanned(text);
        const ours = lexed(text);
        if (ours === undefined || theirs === undefined) return;
        both += 1;
        expect(comparable(ours)).toEqual(comparable(theirs));
      }),
      { numRuns: 20_000 },
    );
    expect(both).toBeGreaterThan(2_000);
  });

  it('the lexer never accepts quotes or comments that PostgreSQL calls unterminated', () => {
    fc.assert(
      fc.property(anything, (text) => {
        if (lexed(text) === undefined) return;
        try {
          scanSync(text);
        } catch (error) {
          expect(String(error)).not.toMatch(/unterminated|trailing junk/);
        }
      }),
      { numRuns: 5_000 },
    );
  });
});

const literal = fc.oneof(
  fc.integer().map(String),
  fc.bigInt({ min: 0n, max: 2n ** 63n }).map(String),
  fc.double({ noNaN: true, noDefaultInfinity: true, min: 0, max: 1e9 }).map((value) => value.toFixed(3)),
  fc
    .string({ maxLength: 12 })
    .filter((text) => !text.includes('\0'))
    .map((text) => `'${text.replaceAll("'", "''")}'`),
);

const TEMPLATES = [
  'select * from t where a = ? and b in (?, ?)',
  'insert into t (a, b) values (?, ?), (?, ?) on conflict (a) do update set b = ?',
  'update t set a = a + ?, b = ? where c = ? or d between ? and ? /* note ? */',
  'select \'x\' || ?, - ?, (?)::text from t -- tail ?\n where "odd ? name" = ?',
  'with x as (select ? as a) delete from t using x where t.a = x.a and t.b <> ?;',
];

describe('shapes', () => {
  it('texts of one shape parse to trees that differ only in constants', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...TEMPLATES),
        fc.array(literal, { minLength: 32, maxLength: 32 }),
        (template, values) => {
          const fill = (offset: number) => {
            let at = offset;
            return template.replaceAll('?', () => values[at++ % 32] ?? '0');
          };
          const [first, second] = [fill(0), fill(16)];
          const [one, two] = [shapeOf(first), shapeOf(second)];
          if (one === undefined || two === undefined || one.key !== two.key) return;
          expect(withoutConstants(first)).toBe(withoutConstants(second));
        },
      ),
      { numRuns: 3_000 },
    );
  });

  it('the fast way through a text finds the literals that the slow way finds', () => {
    let shaped = 0;
    fc.assert(
      fc.property(anything, (rest) => {
        const text = `select ${rest}`;
        const shape = shapeOf(text);
        if (shape === undefined) return;
        shaped += 1;
        const slow = (lexed(text) ?? []).filter(({ kind }) => kind !== 'comment' && kind !== 'parameter');
        expect(shape.holes.map(({ start, end }) => text.slice(start, end))).toEqual(slow.map((piece) => piece.text));
      }),
      { numRuns: 10_000 },
    );
    expect(shaped).toBeGreaterThan(1_000);
  });

  it('a hole gives back the value that the parser read', () => {
    fc.assert(
      fc.property(literal, (value) => {
        const text = `select ${value.replace(/^-/, '')}`;
        const shape = shapeOf(text);
        const hole = shape?.holes[0];
        if (shape === undefined || hole === undefined) return;
        const tree = JSON.stringify(parseSync(text));
        const read = holeText(text, hole);
        expect(tree).toContain(hole.kind === 'integer' ? String(BigInt(read)) : JSON.stringify(read));
      }),
      { numRuns: 2_000 },
    );
  });

  it('two texts never share a shape unless they differ only inside their literals', () => {
    fc.assert(
      fc.property(anything, anything, (a, b) => {
        const [one, two] = [shapeOf(`select ${a}`), shapeOf(`select ${b}`)];
        if (one === undefined || two === undefined || one.key !== two.key) return;
        const cut = (text: string, shape: NonNullable<typeof one>) => {
          let rest = '';
          let at = 0;
          for (const hole of shape.holes) {
            rest += `${text.slice(at, hole.start)}\u0002`;
            at = hole.end;
          }
          return comparableText(rest + text.slice(at));
        };
        expect(cut(`select ${a}`, one)).toBe(cut(`select ${b}`, two));
      }),
      { numRuns: 5_000 },
    );
  });

  it.each([
    ["select * from t where a = E'x'", 'a prefixed string'],
    ['select $$x$$', 'a dollar quote'],
    ["select 'a'\n'b'", 'a continued string'],
    ['select 1; select 2', 'several statements'],
    ['/* atomshard: shard=1 */ select 1', 'a routing comment'],
    ['set x = 1', 'a utility command'],
    ['create table t (a varchar(10))', 'DDL'],
    ["select 'abc", 'an unterminated string'],
  ])('%s has no shape (%s)', (text) => {
    expect(shapeOf(text)).toBeUndefined();
  });

  it('ever new comments do not make ever new shapes', () => {
    expect(shapeOf('select 1 /* trace 1 */ from t')?.key).toBe(shapeOf('select 2 /* trace 2 */ from t')?.key);
  });

  it('a control character cannot forge the mark of a hole', () => {
    expect(shapeOf('select \u0001i')).toBeUndefined();
    expect(shapeOf('select "\u0001i"')?.key).not.toBe(shapeOf('select 1')?.key);
  });
});

/** Comments are white space to a shape. */
function comparableText(text: string): string {
  const lexer = new Lexer(text.replaceAll('\u0002', ' '));
  let rest = '';
  let at = 0;
  for (let kind = lexer.next(); kind !== TOKEN.end && kind !== TOKEN.malformed; kind = lexer.next()) {
    if (kind !== TOKEN.comment) continue;
    rest += `${text.slice(at, lexer.start)} `;
    at = lexer.end;
  }
  return rest + text.slice(at);
}

function withoutConstants(text: string): string {
  return JSON.stringify(parseSync(text), (name, value) => {
    if (name === 'location' || name === 'stmt_len' || name === 'stmt_location' || /list_(start|end)$/.test(name))
      return undefined;
    return name === 'A_Const' ? Object.keys(value as object).filter((key) => key !== 'location') : value;
  });
}
