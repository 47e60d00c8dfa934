/** What berthd keeps of containers that have gone: nothing. */

import { readdir, readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { busybox } from '../harness/images.ts';
import type { Pod } from '../harness/kubelet.ts';
import { useStage } from '../harness/stage.ts';
import { eventually } from '../harness/wait.ts';

const stage = useStage({ images: { busybox } });

const CONTAINERS = 1000;
const LANES = 8;

interface Held {
  readonly descriptors: number;
  readonly watches: number;
  readonly children: number;
}

/** What the kernel holds for berthd. */
async function held(): Promise<Held> {
  const { pid } = stage.daemon;
  const names = await readdir(`/proc/${pid}/fdinfo`);
  const infos = await Promise.all(names.map((name) => readFile(`/proc/${pid}/fdinfo/${name}`, 'utf8').catch(() => '')));
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return {
    descriptors: names.length,
    watches: infos.join('').split('\n').filter((line) => line.startsWith('inotify wd:')).length,
    children: children.trim().split(' ').length,
  };
}

/** A container's whole life, with statistics while it runs. */
async function live(pod: Pod, name: string): Promise<void> {
  const { cri, kubelet } = stage;
  const container_id = await kubelet.run(pod, { name, image: stage.ref('busybox'), command: ['sleep', '1000'] });
  await cri.call('ContainerStats', { container_id });
  await cri.call('StopContainer', { container_id, timeout: 0 });
  await cri.call('RemoveContainer', { container_id });
}

async function lane(lane: number, count: number): Promise<void> {
  const pod = await stage.kubelet.runPod();
  for (let number = 0; number < count; number += 1) await live(pod, `main-${lane}-${number}`);
  await stage.kubelet.removePod(pod);
}

test(`after ${CONTAINERS} containers berthd holds what it held before`, { timeout: 1_200_000 }, async () => {
  await Promise.all(Array.from({ length: LANES }, (_, index) => lane(index, 2)));
  const before = await held();
  await Promise.all(Array.from({ length: LANES }, (_, index) => lane(index, CONTAINERS / LANES)));
  expect((await stage.cri.call('ListContainers', {})).containers).toEqual([]);
  const after = await eventually('descriptors, watches and children are as before', async () => {
    const now = await held();
    return now.descriptors <= before.descriptors && now.watches <= before.watches && now.children <= before.children ? now : undefined;
  }).catch(held);
  expect(after).toEqual(before);
});
