/** Limits that a kubelet asks for, enforced: the value in the kernel's file, and what happens beyond it. */

import { expect, test } from 'vitest';
import { textOf } from '../../harness/cri-log.ts';
import { busybox } from '../../harness/images.ts';
import { useStage } from '../../harness/stage.ts';

const stage = useStage({ images: { busybox }, enforceLimits: true });

const MIB = 1024 ** 2;

test('a container that wants more memory than its limit is OOMKilled, and its neighbour is not', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const neighbour = await kubelet.run(pod, { name: 'neighbour', image: stage.ref('busybox'), command: ['sleep', '1000'] });
  const { status } = await kubelet.runToEnd(pod, {
    name: 'hog',
    image: stage.ref('busybox'),
    command: ['tail', '/dev/zero'],
    linux: { resources: { memory_limit_in_bytes: String(32 * MIB) } },
  });
  expect(status).toMatchObject({ state: 'CONTAINER_EXITED', exit_code: 137, reason: 'OOMKilled' });
  expect(await kubelet.status(neighbour)).toMatchObject({ state: 'CONTAINER_RUNNING' });
  await kubelet.removePod(pod);
});

test('limits of memory and CPU are in the files of the container\'s cgroup', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const { status, lines } = await kubelet.runToEnd(pod, {
    image: stage.ref('busybox'),
    command: ['sh', '-c', 'cd /sys/fs/cgroup; cat cpu.max memory.max'],
    linux: { resources: { cpu_period: '100000', cpu_quota: '50000', memory_limit_in_bytes: String(64 * MIB) } },
  });
  expect(status).toMatchObject({ exit_code: 0 });
  expect(textOf(lines, 'stdout')).toBe(`50000 100000\n${64 * MIB}\n`);
  await kubelet.removePod(pod);
});
