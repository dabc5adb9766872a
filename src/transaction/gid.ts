// Names: what a transaction and each of its prepared branches is called. A name is rendered once, stored whole and
// compared byte by byte; text that this file would not have rendered itself is somebody else's and parses to null.
//
//   as1:k3x9q:proxy-0.1789.42:t:0/3:shard-0=7341@1,shard-2=9120@1
//   ───┬─────┬───────┬────┬──┬─┬───┬──────────────────────────────
//   version cluster instance │ seq │ i/n │ participants: shard=xid@timeline, as many as fit
//                        epoch    flags  (i counts from 0)
//
// The participant list lets recovery judge a prepared transaction without the log.
import { assert } from '../kernel/assert.ts';

/** Names one client transaction for ever: (epoch, seq) of an instance never repeats. */
export interface TransactionId {
  /** Short random id of the ShardedCluster, `[a-z0-9]{4,12}`. */
  readonly cluster: string;
  /** Proxy identity, `[a-z0-9-]{1,32}`. */
  readonly instance: string;
  /** One run of the instance; durable before its first use. */
  readonly epoch: number;
  readonly seq: number;
}

export interface GidParticipant {
  readonly shard: string;
  /** 64-bit transaction id (xid8), decimal. */
  readonly xid: string;
  readonly timeline: number;
}

export interface Gid {
  readonly transaction: TransactionId;
  /** Letters in order: `e` success was told before the decision was durable, `t` the participant list was cut. */
  readonly flags: string;
  /** Which of the `count` participants this branch is, from 0. */
  readonly index: number;
  readonly count: number;
  /** In participant order; all of them unless `cut`. */
  readonly participants: readonly GidParticipant[];
  /** True when the list has fewer than `count` entries because it did not fit. */
  readonly cut: boolean;
}

/** PostgreSQL's GIDSIZE is 200 with the final zero byte. */
export const GID_BYTES_MAX = 199;

const VERSION = 'as1';
const CLUSTER = /^[a-z0-9]{4,12}$/;
const INSTANCE = /^[a-z0-9-]{1,32}$/;
const SHARD = /^[a-z0-9-]{1,32}$/;
const DECIMAL = /^(?:0|[1-9][0-9]{0,15})$/;
const XID = /^[1-9][0-9]{0,19}$/;
const FLAGS = /^e?t?$/;
const PARTICIPANTS_MAX = 9999;
const TIMELINE_MAX = 0xffff_ffff;

/** True when `text` may be used as the cluster's id. */
export const isClusterId = (text: string): boolean => CLUSTER.test(text);

/** True when `text` may be used as a proxy instance's name. */
export const isInstanceName = (text: string): boolean => INSTANCE.test(text);

/** `<cluster>:<instance>.<epoch>.<seq>`, what users and logs see. */
export function renderTransactionId(id: TransactionId): string {
  return `${id.cluster}:${id.instance}.${id.epoch}.${id.seq}`;
}

/** The inverse of renderTransactionId; null for anything it would not have rendered. */
export function parseTransactionId(text: string): TransactionId | null {
  const [cluster, rest, ...tooMany] = text.split(':');
  if (cluster === undefined || rest === undefined || tooMany.length > 0) return null;
  const [instance, epochText, seqText, ...more] = rest.split('.');
  if (instance === undefined || epochText === undefined || seqText === undefined || more.length > 0) return null;
  const epoch = parseDecimal(epochText);
  const seq = parseDecimal(seqText);
  if (!CLUSTER.test(cluster) || !INSTANCE.test(instance) || epoch === null || seq === null) return null;
  return { cluster, instance, epoch, seq };
}

/** `<epoch>.<seq>`: the key of a transaction within one instance. */
export function transactionKey(id: { readonly epoch: number; readonly seq: number }): string {
  return `${id.epoch}.${id.seq}`;
}

/** What every gid of the cluster (or of one of its instances) begins with; contains no LIKE metacharacter. */
export function gidPrefix(cluster: string, instance?: string): string {
  return instance === undefined ? `${VERSION}:${cluster}:` : `${VERSION}:${cluster}:${instance}.`;
}

/**
 * The application_name of every server connection of one epoch (at most 62 bytes, PostgreSQL cuts at 63), by which a
 * later epoch finds and terminates the backends of an earlier one.
 */
export function renderOwnerName(cluster: string, instance: string, epoch: number): string {
  return `${gidPrefix(cluster, instance)}${epoch}`;
}

/** The inverse of renderOwnerName; null for anything it would not have rendered. */
export function parseOwnerName(text: string): Omit<TransactionId, 'seq'> | null {
  if (!text.startsWith(`${VERSION}:`)) return null;
  const id = parseTransactionId(`${text.slice(VERSION.length + 1)}.0`);
  return id && { cluster: id.cluster, instance: id.instance, epoch: id.epoch };
}

/**
 * Renders the name of branch `index` of `count`. Participants that do not fit are left off and flag `t` says so.
 * Asserts that the parts are well formed: names come from checked configuration and from servers, never from clients.
 */
export function renderGid(gid: Omit<Gid, 'flags' | 'cut'> & { readonly earlyAcknowledged?: boolean }): string {
  const { transaction, index, count, participants } = gid;
  assert(
    parseTransactionId(renderTransactionId(transaction)) !== null,
    'a gid is made of a well-formed transaction id',
  );
  assert(index >= 0 && index < count && count <= PARTICIPANTS_MAX, `participant ${index} of ${count} exists`);
  assert(participants.length <= count, 'a gid lists no more participants than there are');
  assert(participants.every(isParticipant), 'every participant has a shard name, an xid and a timeline');
  const head = (flags: string) => `${VERSION}:${renderTransactionId(transaction)}:${flags}:${index}/${count}:`;
  const early = gid.earlyAcknowledged === true ? 'e' : '';
  const whole = head(early) + participants.map(renderParticipant).join(',');
  if (participants.length === count && whole.length <= GID_BYTES_MAX) return whole;
  let cut = head(`${early}t`);
  for (const [position, participant] of participants.entries()) {
    const longer = `${cut}${position === 0 ? '' : ','}${renderParticipant(participant)}`;
    if (longer.length > GID_BYTES_MAX || position + 1 === count) break;
    cut = longer;
  }
  assert(cut.length <= GID_BYTES_MAX, 'the fixed part of a gid fits');
  return cut;
}

/** The inverse of renderGid; null when the name is not one of ours (of any cluster), byte for byte. */
export function parseGid(text: string): Gid | null {
  if (text.length > GID_BYTES_MAX) return null;
  const [version, cluster, run, flags, position, list, ...tooMany] = text.split(':');
  if (version !== VERSION || list === undefined || tooMany.length > 0 || flags === undefined) return null;
  const transaction = parseTransactionId(`${cluster}:${run}`);
  const [indexText, countText, ...more] = (position ?? '').split('/');
  const index = parseDecimal(indexText ?? '');
  const count = parseDecimal(countText ?? '');
  const participants = parseParticipants(list);
  if (transaction === null || index === null || count === null || participants === null) return null;
  if (more.length > 0 || index >= count || count > PARTICIPANTS_MAX || !FLAGS.test(flags)) return null;
  const cut = flags.endsWith('t');
  if (cut ? participants.length >= count : participants.length !== count) return null;
  return { transaction, flags, index, count, participants, cut };
}

function renderParticipant(participant: GidParticipant): string {
  return `${participant.shard}=${participant.xid}@${participant.timeline}`;
}

function parseParticipants(list: string): GidParticipant[] | null {
  const participants: GidParticipant[] = [];
  if (list === '') return participants;
  for (const text of list.split(',')) {
    const match = /^([^=]*)=([^@]*)@(.*)$/.exec(text);
    const timeline = parseDecimal(match?.[3] ?? '');
    const participant = { shard: match?.[1] ?? '', xid: match?.[2] ?? '', timeline: timeline ?? 0 };
    if (!isParticipant(participant)) return null;
    participants.push(participant);
  }
  return participants;
}

function isParticipant({ shard, xid, timeline }: GidParticipant): boolean {
  return SHARD.test(shard) && XID.test(xid) && Number.isInteger(timeline) && timeline > 0 && timeline <= TIMELINE_MAX;
}

function parseDecimal(text: string): number | null {
  const value = Number(text);
  return DECIMAL.test(text) && Number.isSafeInteger(value) ? value : null;
}
