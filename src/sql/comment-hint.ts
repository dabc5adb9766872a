// Routing by hand: `/* atomshard: shard=1 */` or `/* atomshard: key=42 */` in a comment before the statement's first word.
// The rule: a comment that begins with `atomshard:` and is not understood is an error, never ignored.
import { Lexer, TOKEN } from './lexer.ts';

export type CommentHint =
  | { readonly kind: 'shard'; readonly shard: string }
  | { readonly kind: 'key'; readonly key: string }
  | { readonly kind: 'wrong'; readonly text: string };

const DIRECTIVE = /^(shard|key)\s*=\s*(?:'((?:[^']|'')*)'|([^\s']+))$/;

/** The hint of a statement's leading comments; two hints are as wrong as an unreadable one. */
export function commentHint(text: string): CommentHint | undefined {
  if (!text.includes('atomshard')) return undefined;
  const lexer = new Lexer(text);
  let found: CommentHint | undefined;
  for (;;) {
    const kind = lexer.next();
    // A semicolon or parenthesis may stand before the first word.
    if (kind === TOKEN.punctuation) continue;
    if (kind !== TOKEN.comment) return found;
    const comment = lexer.slice();
    const body = (comment.startsWith('--') ? comment.slice(2) : comment.slice(2, -2)).trim();
    if (!body.startsWith('atomshard:')) continue;
    const directive = body.slice('atomshard:'.length).trim();
    if (found !== undefined) return { kind: 'wrong', text: directive };
    const match = DIRECTIVE.exec(directive);
    const value = match?.[2]?.replaceAll("''", "'") ?? match?.[3];
    if (match === null || value === undefined) return { kind: 'wrong', text: directive };
    found = match[1] === 'shard' ? { kind: 'shard', shard: value } : { kind: 'key', key: value };
  }
}
