// The column list that an INSERT left out, written into its text. The rule: what is sent is the client's text with the
// list behind the table name and nothing else changed; whether it is, PostgreSQL's own parser is asked.
//
//   INSERT INTO accounts             VALUES (1, 100)      what the client sent
//   INSERT INTO accounts ("id","balance") VALUES (1, 100) what the shard gets: the key can only land in "id"
//                       └ start        └ end
import type { InsertStmt, Node } from 'libpg-query';
import { Lexer, TOKEN } from '../sql/lexer.ts';
import { parse } from '../sql/parser.ts';
import type { Rewritten } from './plan.ts';

/** `text` with `columns` behind the table of its INSERT; undefined when that place is not certain. */
export function writeColumnList(text: string, columns: readonly string[]): Rewritten | undefined {
  const start = endOfTarget(text);
  if (start === undefined) return undefined;
  const list = ` (${columns.map((column) => `"${column.replaceAll('"', '""')}"`).join(', ')})`;
  return { text: text.slice(0, start) + list + text.slice(start), start, end: start + list.length };
}

/** Whether `rewritten` parses to the tree of `node` with these columns and no other difference. */
export function addsOnlyColumns(rewritten: Rewritten, node: Node, columns: readonly string[]): boolean {
  const outcome = parse(rewritten.text);
  const [only, second] = outcome.kind === 'parsed' ? outcome.statements : [];
  if (only === undefined || second !== undefined) return false;
  const insert = insertOf(only.node);
  const names = (insert?.cols ?? []).map((column) => {
    const plain = 'ResTarget' in column && (column.ResTarget.indirection ?? []).length === 0;
    return plain ? column.ResTarget.name : undefined;
  });
  if (names.length !== columns.length || names.some((name, at) => name !== columns[at])) return false;
  if (insert !== undefined) delete insert.cols;
  return withoutPlaces(only.node) === withoutPlaces(node);
}

/** Characters from 1 in the text that was sent → in the client's; inside the list it is the end of the table name. */
export function clientPosition({ text, start, end }: Rewritten, position: number): number {
  const before = codePoints(text.slice(0, start));
  const inserted = codePoints(text.slice(start, end));
  if (position <= before) return position;
  return position <= before + inserted ? Math.max(before, 1) : position - inserted;
}

/** PostgreSQL counts characters, JavaScript counts halves of some. */
function codePoints(text: string): number {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

/** The end of `name [AS alias]` behind the INSERT INTO outside parentheses. */
function endOfTarget(text: string): number | undefined {
  const lexer = new Lexer(text);
  const next = () => {
    let kind = lexer.next();
    while (kind === TOKEN.comment) kind = lexer.next();
    return kind;
  };
  const isWord = (kind: number, word: string) => kind === TOKEN.word && lexer.slice().toLowerCase() === word;
  const isName = (kind: number) => kind === TOKEN.word || kind === TOKEN.quotedName;
  let depth = 0;
  let inserting = false;
  for (let kind = next(); ; kind = next()) {
    if (kind === TOKEN.end || kind === TOKEN.malformed) return undefined;
    if (inserting && isWord(kind, 'into')) break;
    if (kind === TOKEN.punctuation) {
      const character = lexer.slice();
      if (character === '(') depth += 1;
      else if (character === ')') depth -= 1;
    }
    inserting = depth === 0 && isWord(kind, 'insert');
  }
  let end: number | undefined;
  let kind = next();
  for (;;) {
    if (!isName(kind)) return undefined;
    end = lexer.end;
    kind = next();
    if (kind !== TOKEN.punctuation || lexer.slice() !== '.') break;
    kind = next();
  }
  if (!isWord(kind, 'as')) return end;
  return isName(next()) ? lexer.end : undefined;
}

function insertOf(node: Node): InsertStmt | undefined {
  if ('InsertStmt' in node) return node.InsertStmt;
  return 'ExplainStmt' in node && node.ExplainStmt.query !== undefined ? insertOf(node.ExplainStmt.query) : undefined;
}

/** The tree as text, without the places in the query text that its nodes carry. */
function withoutPlaces(node: Node): string {
  return JSON.stringify(node, (key, value) => (/location$|_start$|_end$|^stmt_len$/.test(key) ? undefined : value));
}
