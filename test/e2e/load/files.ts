// What the programs in the load's pod share: the files beside the outbox, and the orders they are given.

/** Names of files in the outbox's folder. */
export const OUTBOX_FILES = {
  outbox: 'outbox.jsonl',
  observations: 'observations.jsonl',
  state: 'state.json',
  paused: 'paused',
  ended: 'ended',
} as const;

export interface LoadOrder {
  readonly folder: string;
  readonly accounts: number;
  readonly initialBalance: number;
  readonly clients: number;
  readonly legsMax: number;
  /** About how long each client rests after a transfer. */
  readonly restMs: number;
  /** How likely a client connects anew after a transfer: otherwise all stay with the proxy that did not die. */
  readonly leaveChance: number;
  readonly answerTimeoutMs: number;
  readonly seed: number;
}

/** A shard as those see it who ask it directly, past the proxies. */
export interface ShardUrl {
  readonly name: string;
  /** With the superuser's password: passed in the environment only. */
  readonly url: string;
}

/** Of SHARD_URLS, which is JSON. */
export function shardsFromEnv(text: string | undefined): { readonly name: string; url(): string }[] {
  if (text === undefined) throw new Error('SHARD_URLS is not set');
  return (JSON.parse(text) as ShardUrl[]).map(({ name, url }) => ({ name, url: () => url }));
}
