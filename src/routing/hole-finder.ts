// Which cut-out literal stands where the parse tree has a constant. The rule: a hole is used only if it is certainly that
// constant; otherwise the plan is kept for its own text alone.
import type { Shape } from '../sql/shape.ts';

export type HoleFinder = (location: number) => { readonly index: number; readonly negative: boolean } | undefined;

/** Locations of the tree are bytes of UTF-8; holes are characters. A negative constant is located at its minus. */
export function holeFinder(text: string, shape: Shape): HoleFinder {
  const ascii = Buffer.byteLength(text, 'utf8') === text.length;
  const byStart = new Map(
    shape.holes.map((hole, index) => [
      ascii ? hole.start : Buffer.byteLength(text.slice(0, hole.start), 'utf8'),
      index,
    ]),
  );
  return (location) => {
    const index = byStart.get(location);
    if (index !== undefined) return { index, negative: false };
    const at = ascii ? location : Buffer.from(text, 'utf8').toString('utf8', 0, location).length;
    if (text[at] !== '-') return undefined;
    const following = /^-[ \t\n\r\f]*/.exec(text.slice(at, at + 64))?.[0].length ?? 0;
    const negated = shape.holes.findIndex((hole) => hole.start === at + following);
    // `- -5` and comments between are left to the exact text.
    return negated < 0 || shape.holes[negated]?.kind === 'string' ? undefined : { index: negated, negative: true };
  };
}
