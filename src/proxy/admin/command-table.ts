// Every command of the admin database with its columns, in one table: the server, HELP and docs/ADMIN.md all follow it.
// Names of commands and columns are a contract with the operator and with people's scripts: add, never rename.
import type { AdminType } from './value.ts';

export interface AdminColumn {
  readonly name: string;
  readonly type: AdminType;
  readonly help: string;
}

export interface CommandFacts {
  readonly help: string;
  /** What follows the command's words; absent: nothing may. */
  readonly argument?: string;
  readonly columns: readonly AdminColumn[];
}

const column = (name: string, type: AdminType, help: string): AdminColumn => ({ name, type, help });

const STATUS_COLUMNS: readonly AdminColumn[] = [
  column('instance', 'text', 'name of this proxy within its cluster'),
  column('state', 'text', 'Recovering, Active, InDoubt, Draining or Clean'),
  column('ready', 'bool', 'clients are let in'),
  column('not_ready_reason', 'text', 'why not; null when ready'),
  column('version', 'text', 'version of AtomShard'),
  column('config_sha256', 'text', 'SHA-256 of the configuration file in force'),
  column('config_error', 'text', 'why the file on the disk was refused; null when it was not'),
  column('restart_needed', 'text', 'changed keys that wait for a restart, separated by commas; null without any'),
  column('wal_id', 'text', 'identity of the write-ahead log'),
  column('epoch', 'int8', 'this run of the log; part of the names of its transactions'),
  column('oldest', 'int8', 'first record still kept'),
  column('applied', 'int8', 'at or below it every transaction has ended'),
  column('committed', 'int8', 'at or below it decisions may be acted upon'),
  column('durable', 'int8', 'at or below it records survive a power cut'),
  column('appended', 'int8', 'last record handed to the disk'),
  column('wal_segments', 'int4', 'files of the log'),
  column('wal_bytes', 'int8', 'bytes in them'),
  column('wal_free_bytes', 'int8', 'free bytes of the volume that holds the log; null when it cannot be asked'),
  column('in_doubt', 'int4', 'transactions of this proxy that are unfinished and no client waits for'),
  column('held', 'int4', 'those among them that recovery may not decide yet'),
  column('clients', 'int4', 'clients that are logged in, administrators not counted'),
  column('running', 'int4', 'transactions that hold server connections'),
  column(
    'last_recovery_at',
    'timestamptz',
    'end of the last recovery that had something to do, or of the first since the start',
  ),
  column('last_recovery_committed', 'int4', 'transactions it committed'),
  column('last_recovery_committed_ids', 'text', 'the first eight of them, separated by commas; null without any'),
  column('last_recovery_rolled_back', 'int4', 'transactions it rolled back'),
  column('last_recovery_rolled_back_ids', 'text', 'the first eight of them, separated by commas; null without any'),
  column('last_recovery_held', 'int4', 'transactions it held'),
];

const REPORT_COLUMNS: readonly AdminColumn[] = [
  column('at', 'timestamptz', 'end of the pass'),
  column('found_in_doubt', 'int4', 'transactions found prepared that nobody was driving'),
  column('committed', 'int4', 'committed by the pass'),
  column('rolled_back', 'int4', 'rolled back by the pass'),
  column('confirmed', 'int4', 'decisions that only lacked their end record'),
  column('held', 'int4', 'may not be decided yet'),
  column('waiting', 'int4', 'driven by somebody, or not finished yet'),
  column('foreign_prepared', 'int4', 'prepared transactions of other programs; never touched'),
  column('other_instances', 'int4', 'prepared transactions of other proxies of the cluster'),
  column('backends_fenced', 'int4', 'connections of earlier runs that were ended'),
  column('unreachable_shards', 'text', 'shards that did not answer, separated by commas; null without any'),
  column('alarms', 'int4', 'what is wrong now; the log tells each'),
  column('duration_ms', 'float8', 'how long the pass took'),
];

export const COMMAND_TABLE = {
  'SHOW STATUS': { help: 'state of this proxy, one row', columns: STATUS_COLUMNS },
  'SHOW WAL': {
    help: 'segments of the write-ahead log',
    columns: [
      column('first_lsn', 'int8', 'first record'),
      column('last_lsn', 'int8', 'last record'),
      column('bytes', 'int8', 'size'),
      column('in_use', 'bool', 'the segment being written'),
    ],
  },
  'SHOW TRANSACTIONS': {
    help: 'transactions that hold server connections',
    columns: [
      column('client', 'int4', 'number of the client, for KILL'),
      column('user', 'text', 'name it logged in with'),
      column('state', 'text', 'open, failed, broken or committing'),
      column('shards', 'text', 'shards that take part, separated by commas'),
      column('writers', 'int4', 'shards that were sent a statement that may write'),
      column('busy', 'bool', 'a shard has not answered yet'),
    ],
  },
  'SHOW DECISIONS': {
    help: 'decisions to commit that have not reached every shard, oldest first',
    columns: [
      column('transaction', 'text', 'its id'),
      column('decided_at', 'timestamptz', 'when'),
      column('participants', 'text', 'shards that prepared it, separated by commas'),
      column('driven_by', 'text', 'client: a client waits for it; recovery: nobody does'),
    ],
  },
  'SHOW PREPARED': {
    help: 'what the shards hold prepared now; asks them',
    columns: [
      column('shard', 'text', 'where'),
      column('gid', 'text', 'name of the prepared transaction; null when the shard did not answer'),
      column('transaction', 'text', 'id of the transaction; null when it is not of this cluster'),
      column('owner', 'text', 'this proxy, another proxy of the cluster by name, or foreign'),
      column('prepared_at', 'timestamptz', 'when'),
      column('age_seconds', 'float8', 'by the clock of the shard'),
      column('error', 'text', 'why the shard did not answer'),
    ],
  },
  'SHOW POOLS': {
    help: 'pools of server connections',
    columns: [
      column('shard', 'text', 'logical name'),
      column('user', 'text', 'role on the shard'),
      column('kind', 'text', 'first: for the first shard of a transaction; further: for the others'),
      column('size_max', 'int4', 'connections at most'),
      column('idle', 'int4', 'connections nobody uses'),
      column('leased', 'int4', 'connections in use'),
      column('opening', 'int4', 'connections being made'),
      column('waiting', 'int4', 'clients in the queue'),
      column('oldest_wait_ms', 'float8', 'how long the first of them has waited'),
      column('opened', 'int8', 'connections made so far'),
      column('connect_failures', 'int8', 'attempts that failed'),
      column('wait_timeouts', 'int8', 'clients that waited too long'),
      column('last_failure', 'text', 'why no connection can be made; null when one can'),
    ],
  },
  'SHOW SERVERS': {
    help: 'server connections that transactions hold',
    columns: [
      column('shard', 'text', 'logical name'),
      column('pid', 'int4', 'process of the server'),
      column('busy', 'bool', 'it has not answered yet'),
      column('client', 'int4', 'number of the client'),
    ],
  },
  'SHOW SHARDS': {
    help: 'shards as configured, and whether they answer',
    columns: [
      column('position', 'int4', 'its number, as SET atomshard.shard takes it'),
      column('shard', 'text', 'logical name'),
      column('host', 'text', 'where'),
      column('port', 'int4', 'where'),
      column('database', 'text', 'where'),
      column('reachable', 'bool', 'connections can be made, as far as the pools know'),
      column('last_failure', 'text', 'why not'),
      column('connections', 'int4', 'open connections of all pools'),
    ],
  },
  'SHOW CLIENTS': {
    help: 'clients that are logged in',
    columns: [
      column('client', 'int4', 'its number, for KILL'),
      column('user', 'text', 'name it logged in with'),
      column('application_name', 'text', 'as it calls itself'),
      column('address', 'text', 'where it comes from'),
      column('connected_at', 'timestamptz', 'when'),
      column('state', 'text', 'idle, active, idle in transaction or committing'),
      column('shards', 'text', 'shards of its transaction, separated by commas; null outside one'),
    ],
  },
  'SHOW RECOVERY': { help: 'what the last recovery pass found and did, one row', columns: REPORT_COLUMNS },
  'SHOW HELD': {
    help: 'transactions that recovery holds, with the reason',
    columns: [
      column('transaction', 'text', 'its id'),
      column('reason', 'text', 'row of the table in docs/RECOVERY.md'),
      column('ask_human', 'bool', 'waiting cannot help'),
      column('participants', 'text', 'what is known of each, shard=state'),
    ],
  },
  'SHOW STATS': {
    help: 'every metric with its value now; /metrics has the same',
    columns: [
      column('metric', 'text', 'name'),
      column('labels', 'text', 'labels as Prometheus writes them; empty without any'),
      column('value', 'float8', 'value'),
    ],
  },
  'SHOW CONFIG': {
    help: 'configuration in force; passwords are not shown',
    columns: [
      column('key', 'text', 'path'),
      column('value', 'text', 'as JSON'),
      column('restart', 'bool', 'a change needs a restart'),
    ],
  },
  'SHOW VERSION': { help: 'version of AtomShard', columns: [column('version', 'text', 'version')] },
  'SHOW ROUTE': {
    help: 'where a statement would go, without running it',
    argument: 'statement',
    columns: [
      column('statement', 'text', 'each statement of the text'),
      column('kind', 'text', 'one, some, all, split, any or refused'),
      column('shards', 'text', 'shards, separated by commas; null when refused or decided by parameters'),
      column('writes', 'bool', 'it may write'),
      column('reason', 'text', 'why it is refused'),
    ],
  },
  'SHOW HELP': {
    help: 'this list',
    columns: [column('command', 'text', 'what to write'), column('help', 'text', 'what it does')],
  },
  RELOAD: { help: 'reads the configuration file again; a wrong one is refused whole', columns: [] },
  DRAIN: { help: 'lets no clients in, ends idle ones, and finishes what is open', columns: [] },
  RESUME: { help: 'takes DRAIN back', columns: [] },
  RECOVER: { help: 'runs a recovery pass now and shows what it did', columns: REPORT_COLUMNS },
  KILL: { help: 'ends a client; a commit it waits for goes on to its end', argument: 'client', columns: [] },
} as const satisfies Record<string, CommandFacts>;

export type CommandName = keyof typeof COMMAND_TABLE;

/** The table with its entries as CommandFacts, not as the literals they are. */
export const COMMANDS: Readonly<Record<CommandName, CommandFacts>> = COMMAND_TABLE;
