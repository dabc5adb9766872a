// Tables of our own documents, so that tests compare them with the code.
import { readFileSync } from 'node:fs';
import path from 'node:path';

const DOCS = path.resolve(import.meta.dirname, '../../docs');

/** The body of the first table of `docs/NAME` whose header is `header`, as cells. Throws when there is none. */
export function documentTable(name: string, header: string): string[][] {
  const lines = readFileSync(path.join(DOCS, name), 'utf8').split('\n');
  const start = lines.indexOf(header);
  if (start < 0) throw new Error(`docs/${name} has no table ${header}`);
  const body = lines.slice(start + 2);
  const end = body.findIndex((line) => !line.startsWith('|'));
  return body.slice(0, end).map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}
