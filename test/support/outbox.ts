// The outbox: a file in which a load writes down each transfer before its first byte leaves, and what it was told before the next.
//
// One JSON object a line, durable before its promise resolves; writers of the same moment share one fsync. A load that was
// killed goes on in the same file: what it had not been told by then counts as unknown.
//
//   {"opens":{"accounts":[1,2],"initialBalance":500},"atMs":…}   once for each start
//   {"intends":"<id>","client":3,"kind":"transfer","legs":[[1,-7],[2,7]],"atMs":…}
//   {"told":"<id>","as":"acknowledged","why":"","tookMs":12.5,"atMs":…}
import { closeSync, fdatasync, fstatSync, fsyncSync, openSync, readSync, write } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { type Told, type TransferJournal, TransferLedger, type TransferRecord } from './transfer-ledger.ts';
import type { TransferKind } from './transfer-plan.ts';

interface OpensLine {
  readonly opens: { readonly accounts: readonly number[]; readonly initialBalance: number };
  readonly atMs: number;
}

interface IntendsLine {
  readonly intends: string;
  readonly client: number;
  readonly kind: TransferKind;
  readonly legs: readonly (readonly [account: number, amount: number])[];
  readonly atMs: number;
}

interface ToldLine {
  readonly told: string;
  readonly as: Told;
  readonly why: string;
  readonly tookMs: number;
  readonly atMs: number;
}

type OutboxLine = OpensLine | IntendsLine | ToldLine;

interface Waiting {
  readonly text: string;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

const writeTo = promisify(write);
const syncFile = promisify(fdatasync);

export class Outbox {
  readonly #file: number;
  #waiting: Waiting[] = [];
  #writing: Promise<void> | undefined;

  /** Opens or makes `file` for appending; a crash in here leaves an empty outbox or none. */
  constructor(file: string) {
    this.#file = openSync(file, 'a+', 0o644);
    // A crash may have cut the last line; what follows must not be glued to it.
    if (!endsWithNewline(this.#file)) void this.#write('\n');
    const directory = openSync(path.dirname(file), 'r');
    fsyncSync(directory);
    closeSync(directory);
  }

  /** To be called at each start, before anything is intended. */
  opens(accounts: readonly number[], initialBalance: number): Promise<void> {
    return this.#append({ opens: { accounts, initialBalance }, atMs: Date.now() });
  }

  journalOf(client: number): TransferJournal {
    return {
      intended: ({ plan }: TransferRecord) => {
        const legs = plan.legs.map(({ account, amount }) => [account, amount] as const);
        return this.#append({ intends: plan.id, client, kind: plan.kind, legs, atMs: Date.now() });
      },
      told: ({ plan, told, why, tookMs }: TransferRecord) =>
        this.#append({ told: plan.id, as: told, why, tookMs: Math.round(tookMs * 10) / 10, atMs: Date.now() }),
    };
  }

  /** Nothing may be appended afterwards. */
  async close(): Promise<void> {
    await this.#writing;
    closeSync(this.#file);
  }

  #append(line: OutboxLine): Promise<void> {
    return this.#write(`${JSON.stringify(line)}\n`);
  }

  #write(text: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ text, resolve, reject });
      this.#writing ??= this.#drain();
    });
  }

  async #drain(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      try {
        const bytes = Buffer.from(batch.map(({ text }) => text).join(''));
        for (let from = 0; from < bytes.length; ) from += (await writeTo(this.#file, bytes, from)).bytesWritten;
        // A crash before this: nobody has gone on yet; the lines may be there, cut, or not.
        await syncFile(this.#file);
        for (const { resolve } of batch) resolve();
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    this.#writing = undefined;
  }
}

function endsWithNewline(file: number): boolean {
  const { size } = fstatSync(file);
  if (size === 0) return true;
  const last = Buffer.alloc(1);
  readSync(file, last, 0, 1, size - 1);
  return last.toString() === '\n';
}

/** One answer, for measuring how long clients had none. */
export interface Answer {
  readonly client: number;
  readonly told: Told;
  readonly atMs: number;
}

export interface Testimony {
  readonly ledger: TransferLedger;
  /** In the order in which they were given. */
  readonly answers: readonly Answer[];
  /** How often the load was started; more than once says that it was killed or moved. */
  readonly starts: number;
}

/** Rebuilds what clients intended and were told. A last line that was cut by a crash is left out. Throws when there is no first line. */
export function readOutbox(text: string): Testimony {
  const lines = text.split('\n').slice(0, -1);
  const parsed = lines.flatMap((line, index): OutboxLine[] =>
    cutByCrash(line, lines[index + 1]) ? [] : [JSON.parse(line) as OutboxLine],
  );
  const first = parsed.find((line) => 'opens' in line);
  if (first === undefined) throw new Error('the outbox says nothing');
  const { accounts, initialBalance } = first.opens;
  const ledger = new TransferLedger(new Map(accounts.map((account) => [account, initialBalance])));
  const clients = new Map<string, number>();
  const answers: Answer[] = [];
  let starts = 0;
  for (const line of parsed) {
    if ('opens' in line) {
      starts += 1;
      cutOff(ledger);
    } else if ('intends' in line) {
      const legs = line.legs.map(([account, amount]) => ({ account, amount }));
      ledger.intend({ id: line.intends, kind: line.kind, style: 'simple', legs, alsoReads: undefined });
      clients.set(line.intends, line.client);
    } else {
      const record = ledger.records.get(line.told);
      if (record === undefined) throw new Error(`the outbox tells of ${line.told}, which nobody intended`);
      Object.assign(record, { told: line.as, why: line.why, tookMs: line.tookMs });
      answers.push({ client: clients.get(line.told) ?? -1, told: line.as, atMs: line.atMs });
    }
  }
  return { ledger, answers, starts };
}

/** A line that is no object, right before a new start. Anywhere else it is damage, and JSON.parse says so. */
const cutByCrash = (line: string, next: string | undefined) =>
  !line.endsWith('}') && next?.startsWith('{"opens"') === true;

/** A load that begins anew has lost the connections of the one before: what that one was not told, nobody knows. */
function cutOff(ledger: TransferLedger): void {
  for (const record of ledger.records.values())
    if (record.told === 'pending') Object.assign(record, { told: 'unknown', why: 'the load was killed' });
}
