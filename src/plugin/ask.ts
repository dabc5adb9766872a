// Asks a person before something is done that cannot be undone.
import { createInterface } from 'node:readline/promises';
import { EXIT, PluginError } from './plugin-error.ts';

/** Resolves when the answer is yes, or `yes` was said ahead. Rejects with PluginError otherwise. */
export async function ask(question: string, yes: boolean): Promise<void> {
  if (yes) return;
  if (!process.stdin.isTTY) throw new PluginError('there is nobody to ask; --yes says yes', EXIT.usage);
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await terminal.question(`${question} [yes/no] `);
  terminal.close();
  if (answer.trim().toLowerCase() !== 'yes') throw new PluginError('nothing was done', EXIT.refused);
}
