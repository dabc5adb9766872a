// Which shards hold a prepared transaction of a proxy now, by the observer's last word.

import { OUTBOX_FILES } from '../load/files.ts';
import { readObservations } from '../load/observations.ts';
import type { Ground } from '../scenarios/scenario.ts';
import { OUTBOX_FOLDER } from './load-job.ts';

/** Numbers of the shards; rejects when there is none. */
export async function preparedOn({ system, load }: Ground, instance: string): Promise<number[]> {
  const command = ['tail', '-n', '200', `${OUTBOX_FOLDER}/${OUTBOX_FILES.observations}`];
  const text = await system.execOk(await load.pod(), 'observer', command);
  const { spans } = readObservations(text, Number.POSITIVE_INFINITY);
  const shards = spans
    .filter(({ untilMs, prepared }) => {
      return untilMs === Number.POSITIVE_INFINITY && prepared.some(({ gid }) => gid.includes(`:${instance}.`));
    })
    .map(({ shard }) => Number(shard.replace('shard-', '')));
  if (shards.length === 0) throw new Error(`no shard holds a prepared transaction of ${instance}`);
  return shards;
}
