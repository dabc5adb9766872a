// Process 1 of the image for end-to-end tests: runs the product as a child, so that the child can be killed where it stands.
//
// The kernel shields process 1 of a container from signals sent inside it, SIGKILL included; a child has no such shield.
// The child is the product as built, with a control point that obeys orders (orders.ts). Other commands are the product's own.
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { DIED, hasOrders, leaveWord, refusesStart } from './orders.ts';

const UNDER_ORDERS: Readonly<Record<string, string>> = {
  proxy: './proxy-under-orders.ts',
  operator: './operator-under-orders.ts',
};

const REFUSAL_MS = 4_000;

const [command = '', ...rest] = process.argv.slice(2);
const own = UNDER_ORDERS[command];
// Only the program under test refuses: whoever reads its log must not.
if (own !== undefined && (await refusedFor(REFUSAL_MS))) {
  console.error('e2e: told to refuse to start');
  process.exit(1);
}
const program =
  own === undefined
    ? [fileURLToPath(new URL('../../../dist/main.js', import.meta.url)), command, ...rest]
    : [fileURLToPath(new URL(own, import.meta.url)), ...rest];
const child = spawn(process.execPath, ['--enable-source-maps', ...program], { stdio: 'inherit' });
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => child.kill(signal));
const obeys = own !== undefined && hasOrders();
child.once('exit', (code, signal) => {
  if (obeys) say(DIED, { atMs: Date.now(), code, signal });
  // As a shell says it, so that `kubectl describe` shows 137 for SIGKILL.
  process.exit(signal === null ? (code ?? 1) : 128 + constants.signals[signal]);
});

function say(name: string, word: object | number): void {
  try {
    leaveWord(name, word);
  } catch (error) {
    // A full volume is one of the tests.
    console.error(`e2e: could not write ${name}`, error);
  }
}

/** True when the refusal stands for so long; a container that runs meanwhile can be told otherwise. */
async function refusedFor(ms: number): Promise<boolean> {
  const until = Date.now() + ms;
  while (refusesStart()) {
    if (Date.now() >= until) return true;
    await sleep(100);
  }
  return false;
}
