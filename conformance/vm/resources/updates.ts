/** Limits that change while a container is there: all of them or none. */

import { expect, test } from 'vitest';
import type { LinuxContainerResources } from '../../../src/cri-server/generated/runtime/v1/LinuxContainerResources.ts';
import { expectCode } from '../../harness/stage.ts';
import type { Stage } from '../../harness/stage.ts';
import { directoryOf, keyed, LIMIT_FILES, readFiles } from './cgroup-files.ts';
import { EVERYTHING, MIB } from './limits.ts';

export const CHANGED = {
  cpu_period: '100000',
  cpu_quota: '70000',
  cpu_shares: '2048',
  cpuset_cpus: '1',
  memory_limit_in_bytes: String(96 * MIB),
  memory_swap_limit_in_bytes: String(96 * MIB),
  hugepage_limits: [{ page_size: '2MB', limit: String(2 * MIB) }],
  unified: { 'pids.max': '123', 'memory.high': 'max' },
};

export const CHANGED_IN_FILES = {
  'cpu.max': '70000 100000',
  'cpu.weight': '174',
  'cpuset.cpus': '1',
  'memory.max': String(96 * MIB),
  'memory.swap.max': '0',
  'memory.high': 'max',
  'pids.max': '123',
  'hugetlb.2MB.max': String(2 * MIB),
  'hugetlb.2MB.rsvd.max': String(2 * MIB),
};

/** Each makes an update wrong in one place, which the kernel or Berth sees first or last. */
const WRONG: readonly (readonly [LinuxContainerResources, RegExp])[] = [
  // Refused by the kernel, after others have been written.
  [{ unified: { 'memory.low': 'much' } }, /memory\.low/],
  [{ cpuset_cpus: '0-1,4000' }, /cpuset\.cpus/],
  // There is no such file.
  [{ unified: { 'memory.nothing': '1' } }, /memory\.nothing/],
  [{ cpu_period: '1' }, /cpu_period/],
];

export function updatesAreWhole(stage: Stage): void {
  test('limits change before and after the start, and the status shows them', async () => {
    const { kubelet, cri } = stage;
    const pod = await kubelet.runPod();
    const id = await kubelet.create(pod, { image: stage.ref('busybox'), command: ['sleep', '1000'], linux: { resources: EVERYTHING } });
    const directory = await directoryOf(stage, id);
    await cri.call('UpdateContainerResources', { container_id: id, linux: { cpu_quota: '40000' } });
    expect(await readFiles(directory, ['cpu.max'])).toEqual({ 'cpu.max': '40000 50000' });
    await cri.call('StartContainer', { container_id: id });
    await cri.call('UpdateContainerResources', { container_id: id, linux: CHANGED });
    expect(await readFiles(directory, LIMIT_FILES)).toMatchObject(CHANGED_IN_FILES);
    expect((await kubelet.status(id)).resources?.linux).toMatchObject({ cpu_quota: '70000', memory_limit_in_bytes: String(96 * MIB) });
    await kubelet.removePod(pod);
  });

  test('an update with one value that is wrong leaves every file as it was', async () => {
    const { kubelet, cri } = stage;
    const pod = await kubelet.runPod();
    const id = await kubelet.run(pod, { image: stage.ref('busybox'), command: ['sleep', '1000'], linux: { resources: EVERYTHING } });
    const directory = await directoryOf(stage, id);
    const [files, status] = [await readFiles(directory, LIMIT_FILES), await kubelet.status(id)];
    for (const [wrong, message] of WRONG) {
      const linux = { ...CHANGED, ...wrong, unified: { ...CHANGED.unified, ...wrong.unified } };
      await expectCode(cri.call('UpdateContainerResources', { container_id: id, linux }), 'INVALID_ARGUMENT', message);
      expect(await readFiles(directory, LIMIT_FILES)).toEqual(files);
      expect(await kubelet.status(id)).toEqual(status);
    }
    await kubelet.removePod(pod);
  });

  test('a memory limit below what is in use is refused, and nobody is killed', async () => {
    const { kubelet, cri } = stage;
    const pod = await kubelet.runPod();
    // A file in memory is in use for as long as it is there.
    const command = ['sh', '-c', 'dd if=/dev/zero of=/dev/shm/file bs=1M count=24 2>/dev/null; echo full; sleep 1000'];
    const resources = { memory_limit_in_bytes: String(64 * MIB) };
    const id = await kubelet.run(pod, { image: stage.ref('busybox'), command, linux: { resources } });
    await expect.poll(async () => (await kubelet.logs(pod)).length, { timeout: 60_000 }).toBe(1);
    const directory = await directoryOf(stage, id);
    const linux = { cpu_quota: '50000', memory_limit_in_bytes: String(16 * MIB) };
    await expectCode(cri.call('UpdateContainerResources', { container_id: id, linux }), 'FAILED_PRECONDITION', /below the usage of \d+ bytes/);
    expect(await readFiles(directory, ['memory.max', 'cpu.max'])).toEqual({ 'memory.max': String(64 * MIB), 'cpu.max': 'max 100000' });
    expect(await keyed(directory, 'memory.events', 'oom_kill')).toBe(0);
    expect(await kubelet.status(id)).toMatchObject({ state: 'CONTAINER_RUNNING' });
    await kubelet.removePod(pod);
  });
}
