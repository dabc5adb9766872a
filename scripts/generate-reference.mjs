// Writes the tables of docs/ADMIN.md and docs/METRICS.md from the code that serves them.
// Use: node scripts/generate-reference.mjs [--check]     --check writes nothing; exit 1 says what is out of date
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { COMMANDS } from '../src/proxy/admin/command-table.ts';
import { PROXY_METRICS } from '../src/telemetry/metrics-table.ts';

const ROOT = path.resolve(import.meta.dirname, '..');
const MARK = /(<!-- generated -->\n)[\s\S]*?(<!-- end -->)/;

const table = (head, rows) =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

function commands() {
  return Object.entries(COMMANDS)
    .map(([name, { help, argument, columns }]) => {
      const title = `### \`${name}${argument === undefined ? '' : ` <${argument}>`}\`\n\n${sentence(help)}\n`;
      if (columns.length === 0) return title;
      const rows = columns.map((column) => [`\`${column.name}\``, column.type, column.help]);
      return `${title}\n${table(['column', 'type', 'what it is'], rows)}\n`;
    })
    .join('\n');
}

function metrics() {
  const rows = Object.entries(PROXY_METRICS).map(([name, { type, labels, help }]) => [
    `\`${name}\``,
    type,
    labels.map((label) => `\`${label}\``).join(', '),
    help,
  ]);
  return `${table(['metric', 'type', 'labels', 'what it is'], rows)}\n`;
}

const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

let stale = 0;
for (const [file, body] of [
  ['docs/ADMIN.md', commands()],
  ['docs/METRICS.md', metrics()],
]) {
  const before = readFileSync(path.join(ROOT, file), 'utf8');
  const after = before.replace(MARK, (_all, begin, end) => `${begin}\n${body}\n${end}`);
  if (after === before) continue;
  if (process.argv.includes('--check')) {
    stale++;
    console.error(`${file} is out of date: node scripts/generate-reference.mjs`);
  } else writeFileSync(path.join(ROOT, file), after);
}
process.exit(stale === 0 ? 0 : 1);
