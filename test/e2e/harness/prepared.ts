// Which shards hold a prepared transaction of a proxy now, by the observer's last word.

import { waitFor } from '../../cluster/harness/kubectl.ts';
import { OUTBOX_FILES } from '../load/files.ts';
import { readObservations } from '../load/observations.ts';
import type { Ground } from '../scenarios/scenario.ts';
import { OUTBOX_FOLDER } from './load-job.ts';

/** Numbers of the shards; undefined when one gave the observer no answer, so that it may hold something too. */
export async function preparedNow({ system, load }: Ground, instance: string): Promise<number[] | undefined> {
  const file = `${OUTBOX_FOLDER}/${OUTBOX_FILES.observations}`;
  const shards = Array.from({ length: system.shards }, (_, index) => `shard-${index}`).join(' ');
  // The last word about each: a shard on which everything waits may have said it long ago.
  const lastWords = `for s in ${shards}; do grep "\\"shard\\":\\"$s\\"" ${file} | tail -n 1; done`;
  const command = ['sh', '-c', lastWords];
  const text = await system.execOk(await load.pod(), 'observer', command);
  const { spans } = readObservations(text, Number.POSITIVE_INFINITY);
  const last = spans.filter(({ untilMs }) => untilMs === Number.POSITIVE_INFINITY);
  if (last.length < system.shards || last.some(({ down }) => down)) return undefined;
  return last
    .filter(({ prepared }) => prepared.some(({ gid }) => gid.includes(`:${instance}.`)))
    .map(({ shard }) => Number(shard.replace('shard-', '')));
}

/** As {@link preparedNow}; rejects when there is none within a few looks of the observer. */
export async function preparedOn(ground: Ground, instance: string): Promise<number[]> {
  return waitFor(`a prepared transaction of ${instance}`, 5_000, async () => {
    const shards = await preparedNow(ground, instance);
    return shards !== undefined && shards.length > 0 ? shards : undefined;
  });
}
