// Puts a small real file system in the place of a proxy's volume, since the volumes of test clusters are folders without a limit.
//
// No process may write meanwhile, and no log may ever run on a copy of itself while the original can: the proxy is kept from
// starting, its files move, and its pod is made anew on the other file system.
import { waitFor } from '../../cluster/harness/kubectl.ts';
import { PERSISTENT_VOLUMES } from '../harness/kube.ts';
import type { Ground } from './scenario.ts';

/** Besides what the log holds already. */
const SPARE_KIB = 8 * 1024;
const AWAY_MS = 300_000;

interface Place {
  readonly node: string;
  readonly folder: string;
}

async function placeOf({ system }: Ground, proxy: number): Promise<Place> {
  const volume = await system.kubectl.value(`pvc ${system.walClaim(proxy)}`, '.spec.volumeName');
  const { spec } = await system.kube.get(PERSISTENT_VOLUMES, { name: volume });
  const folder = spec?.local?.path ?? spec?.hostPath?.path;
  const terms = spec?.nodeAffinity?.required?.nodeSelectorTerms ?? [];
  const node = terms.flatMap(({ matchExpressions = [] }) => matchExpressions.flatMap(({ values = [] }) => values))[0];
  if (folder === undefined || node === undefined) throw new Error(`${volume} is no folder of one node`);
  return { node, folder };
}

/** Runs `move` on the node while no process of the proxy lives, and then lets it start on what it finds. */
async function whileAway(ground: Ground, proxy: number, place: Place, move: string): Promise<void> {
  const { system, cluster } = ground;
  const pod = system.proxyPod(proxy);
  const { uid } = (await system.pod(pod))?.metadata ?? {};
  await system.refuseStart(proxy, AWAY_MS);
  const before = await system.life(pod);
  await system.killProcess(proxy);
  await waitFor(`${pod} to be away`, 60_000, async () => ((await system.life(pod)) === before ? undefined : true));
  await cluster.inNode(place.node, ['sh', '-ec', move]);
  await system.deletePod(pod);
  await system.untilReplaced(pod, uid);
}

/** Resolves when the proxy's pod is made anew on the small volume; disposing moves its files back the same way. */
export async function smallVolume(ground: Ground, proxy: number): Promise<AsyncDisposable> {
  const place = await placeOf(ground, proxy);
  const { folder } = place;
  const allow = 'rm -f orders/refuse-start orders/died.json';
  await whileAway(
    ground,
    proxy,
    place,
    `mkdir -p ${folder}.moving; cp -a ${folder}/. ${folder}.moving/
     used=$(du -sk ${folder} | cut -f1)
     mount -t tmpfs -o size=$((used + ${SPARE_KIB}))k,mode=0777 e2e ${folder}
     cp -a ${folder}.moving/. ${folder}/; rm -rf ${folder}.moving; cd ${folder}; ${allow}`,
  );
  return {
    [Symbol.asyncDispose]: () =>
      whileAway(
        ground,
        proxy,
        place,
        `mkdir -p ${folder}.moving; cp -a ${folder}/. ${folder}.moving/; umount -l ${folder}
         rm -rf ${folder}/wal ${folder}/orders; cp -a ${folder}.moving/. ${folder}/; rm -rf ${folder}.moving
         cd ${folder}; ${allow}`,
      ),
  };
}
