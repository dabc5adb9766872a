// What sessions count for telemetry; plain fields, so that counting costs an addition and nothing else.

export interface SessionTraffic {
  /** ReadyForQuery messages: one for each Query and each Sync. */
  queries: number;
  /** An error of ours or of a shard was written to a client; its SQLSTATE. */
  errorTold(sqlstate: string): void;
}
