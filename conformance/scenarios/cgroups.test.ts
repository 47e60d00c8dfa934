import { mkdir, readFile, readdir, rmdir } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { unifiedMount } from '../harness/cgroup-base.ts';
import { busybox } from '../harness/images.ts';
import { useStage } from '../harness/stage.ts';
import { eventually } from '../harness/wait.ts';

const stage = useStage({ images: { busybox } });

/** The absolute directory in the cgroup2 mount that a process is in. */
async function cgroupOf(pid: number): Promise<string> {
  const line = (await readFile(`/proc/${pid}/cgroup`, 'utf8')).split('\n').find((entry) => entry.startsWith('0::'));
  return path.join(unifiedMount(), line?.slice(3) ?? '');
}

const directories = async (base: string): Promise<string[]> =>
  (await readdir(base, { recursive: true, withFileTypes: true })).filter((entry) => entry.isDirectory()).map((entry) => entry.name);

test('containers live below the cgroup that the kubelet made for the pod', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const id = await kubelet.run(pod, { image: stage.ref('busybox'), command: ['sleep', '1000'] });
  const parent = path.join(unifiedMount(), pod.config.linux?.cgroup_parent ?? '');
  const own = await cgroupOf(await kubelet.pidOf(id));
  expect(own.startsWith(`${parent}/`)).toBe(true);
  expect(own).toContain(id);
  // The container itself sees its own as the root.
  expect((await kubelet.exec(id, 'grep', '^0::', '/proc/1/cgroup')).stdout).toMatch(/^0::\/(\S*)?\n$/);
  await stage.cri.call('StopPodSandbox', { pod_sandbox_id: pod.id });
  await stage.cri.call('RemovePodSandbox', { pod_sandbox_id: pod.id });
  expect(await directories(parent)).toEqual([]);
  await kubelet.removePod(pod);
});

test('two containers of a pod have cgroups of their own under the same parent', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const image = stage.ref('busybox');
  const one = await cgroupOf(await kubelet.pidOf(await kubelet.run(pod, { name: 'one', image, command: ['sleep', '1000'] })));
  const two = await cgroupOf(await kubelet.pidOf(await kubelet.run(pod, { name: 'two', image, command: ['sleep', '1000'] })));
  expect(one).not.toBe(two);
  await kubelet.removePod(pod);
});

test('a pod without a cgroup parent gets one and takes it along when it goes', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod({ linux: { cgroup_parent: '' } });
  const id = await kubelet.run(pod, { image: stage.ref('busybox'), command: ['sleep', '1000'] });
  const own = await cgroupOf(await kubelet.pidOf(id));
  expect(own).toContain(id);
  await kubelet.removePod(pod);
  await expect(readdir(own)).rejects.toThrow('ENOENT');
});

test('an exec runs within its container\'s cgroup', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const id = await kubelet.run(pod, { image: stage.ref('busybox'), command: ['sleep', '1000'] });
  const own = await cgroupOf(await kubelet.pidOf(id));
  const exec = stage.cri.call('ExecSync', { container_id: id, cmd: ['sleep', '1.23'], timeout: 20 });
  const pids = await eventually('the exec shows in the cgroup', async () => {
    const below = [own, ...(await directories(own)).map((name) => path.join(own, name))];
    const lists = await Promise.all(below.map((directory) => readFile(`${directory}/cgroup.procs`, 'utf8').catch(() => '')));
    const found = lists.join('\n').split('\n').filter((line) => line !== '');
    return found.length >= 2 ? found : undefined;
  });
  expect(pids.length).toBeGreaterThanOrEqual(2);
  expect((await exec).exit_code).toBe(0);
  await kubelet.removePod(pod);
});

test('a cgroup of the node that is not Berth\'s stays', async () => {
  const foreign = path.join(stage.cgroups.directory, 'foreign');
  await mkdir(foreign);
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  await kubelet.run(pod, { image: stage.ref('busybox'), command: ['sleep', '1000'] });
  await kubelet.removePod(pod);
  await rmdir(foreign);
});
