// What the pages point at is there: files, headings, npm scripts, and the files of the tree that they name.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = path.resolve(import.meta.dirname, '../../..');
const read = (file: string) => readFileSync(path.join(ROOT, file), 'utf8');
const pagesIn = (folder: string) =>
  readdirSync(path.join(ROOT, folder)).flatMap((name) => (name.endsWith('.md') ? [path.join(folder, name)] : []));
const PAGES = ['README.md', 'CHANGELOG.md', ...pagesIn('docs'), ...pagesIn('docs/adr')];

/** As GitHub makes them of headings. */
const anchorsOf = (page: string) =>
  [...read(page).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  );

function brokenLinks(page: string): string[] {
  const links = [...read(page).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target);
  return links.filter((target) => {
    if (/^https?:/.test(target)) return false;
    const [file = '', anchor] = target.split('#');
    const linked = file === '' ? page : path.join(path.dirname(page), file);
    if (!existsSync(path.join(ROOT, linked))) return true;
    return anchor !== undefined && !anchorsOf(linked).includes(anchor);
  });
}

describe('the pages', () => {
  it.each(PAGES)('%s links to what is there', (page) => {
    expect(brokenLinks(page)).toEqual([]);
  });

  it('name npm scripts that there are', () => {
    const { scripts } = JSON.parse(read('package.json')) as { readonly scripts: Readonly<Record<string, string>> };
    const named = PAGES.flatMap((page) =>
      [...read(page).matchAll(/npm (?:run (?:-s )?)([\w:-]+)/g)].map(([, name = '']) => name),
    );
    expect([...new Set(named)].filter((name) => !(name in scripts))).toEqual([]);
  });

  it('name files of this tree that there are', () => {
    const named = PAGES.flatMap((page) => {
      const paths = [...read(page).matchAll(/(?<![\w./])((?:src|test|docs|charts|manifests|scripts)\/[\w./-]*[\w-])/g)];
      return paths.map(([, file = '']) => `${page}: ${file}`);
    });
    expect(named.filter((line) => !existsSync(path.join(ROOT, line.split(': ')[1] ?? '')))).toEqual([]);
    expect(named.length).toBeGreaterThan(20);
  });
});
