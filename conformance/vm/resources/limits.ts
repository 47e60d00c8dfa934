/** Limits in the kernel's files. */

import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import type { LinuxContainerResources } from '../../../src/cri-server/generated/runtime/v1/LinuxContainerResources.ts';
import { expectCode } from '../../harness/stage.ts';
import type { Stage } from '../../harness/stage.ts';
import { directoryOf, LIMIT_FILES, readFiles } from './cgroup-files.ts';

export const MIB = 1024 ** 2;

/** One of everything. */
export const EVERYTHING: LinuxContainerResources = {
  cpu_period: '50000',
  cpu_quota: '30000',
  cpu_shares: '512',
  cpuset_cpus: '0-1',
  cpuset_mems: '0',
  memory_limit_in_bytes: String(64 * MIB),
  memory_swap_limit_in_bytes: String(96 * MIB),
  oom_score_adj: '-500',
  hugepage_limits: [{ page_size: '2MB', limit: String(4 * MIB) }],
  unified: { 'memory.high': String(48 * MIB), 'memory.low': String(8 * MIB), 'memory.oom.group': '1', 'pids.max': '321' },
};

export const EVERYTHING_IN_FILES = {
  'cpu.max': '30000 50000',
  // Of 512 shares.
  'cpu.weight': '59',
  'cpuset.cpus': '0-1',
  'cpuset.mems': '0',
  'memory.max': String(64 * MIB),
  'memory.high': String(48 * MIB),
  'memory.low': String(8 * MIB),
  'memory.swap.max': String(32 * MIB),
  'memory.oom.group': '1',
  'pids.max': '321',
  'hugetlb.2MB.max': String(4 * MIB),
  'hugetlb.2MB.rsvd.max': String(4 * MIB),
};

/** `pidsLimit` is what berthd's configuration says. */
export function limitsAreInTheFiles(stage: Stage, pidsLimit: number): void {
  test('every limit is in the kernel\'s file, and where the container looks for it', async () => {
    const { kubelet } = stage;
    const pod = await kubelet.runPod();
    const id = await kubelet.run(pod, { image: stage.ref('busybox'), command: ['sleep', '1000'], linux: { resources: EVERYTHING } });
    const directory = await directoryOf(stage, id);
    expect(await readFiles(directory, LIMIT_FILES)).toEqual({ ...EVERYTHING_IN_FILES, 'io.max': '' });
    expect(await readFile(`/proc/${await kubelet.pidOf(id)}/oom_score_adj`, 'utf8')).toBe('-500\n');
    const inside = await kubelet.exec(id, 'cat', '/sys/fs/cgroup/memory.max', '/sys/fs/cgroup/cpu.max');
    expect(inside.stdout).toBe(`${64 * MIB}\n30000 50000\n`);
    expect((await kubelet.status(id)).resources?.linux).toMatchObject({ memory_limit_in_bytes: String(64 * MIB), cpu_quota: '30000', unified: EVERYTHING.unified });
    await kubelet.removePod(pod);
  });

  test('a container without limits has none but that of the node for processes', async () => {
    const { kubelet } = stage;
    const pod = await kubelet.runPod();
    const id = await kubelet.run(pod, { image: stage.ref('busybox'), command: ['sleep', '1000'] });
    expect(await readFiles(await directoryOf(stage, id), LIMIT_FILES)).toEqual({
      'cpu.max': 'max 100000', 'cpu.weight': '100', 'cpuset.cpus': '', 'cpuset.mems': '', 'memory.max': 'max', 'memory.high': 'max',
      'memory.low': '0', 'memory.swap.max': 'max', 'memory.oom.group': '0', 'pids.max': String(pidsLimit), 'hugetlb.2MB.max': 'max',
      'hugetlb.2MB.rsvd.max': 'max', 'io.max': '',
    });
    await kubelet.removePod(pod);
  });

  test('a pod of Berth\'s own has its resources and overhead together', async () => {
    const { kubelet } = stage;
    const resources = { memory_limit_in_bytes: String(64 * MIB), cpu_quota: '40000', cpu_period: '100000', cpu_shares: '1000', cpuset_cpus: '1' };
    const overhead = { memory_limit_in_bytes: String(16 * MIB), cpu_quota: '10000', cpu_period: '100000', cpu_shares: '24' };
    const pod = await kubelet.runPod({ linux: { cgroup_parent: '', resources, overhead } });
    const id = await kubelet.run(pod, { image: stage.ref('busybox'), command: ['sleep', '1000'] });
    const directory = await podDirectory(stage, id);
    const files = ['memory.max', 'cpu.max', 'cpu.weight', 'cpuset.cpus'];
    expect(await readFiles(directory, files)).toEqual({ 'memory.max': String(80 * MIB), 'cpu.max': '50000 100000', 'cpu.weight': '100', 'cpuset.cpus': '1' });
    await stage.cri.call('UpdatePodSandboxResources', { pod_sandbox_id: pod.id, resources: { memory_limit_in_bytes: String(128 * MIB), cpuset_cpus: '0' } });
    const updated = { 'memory.max': String(144 * MIB), 'cpu.max': '50000 100000', 'cpu.weight': '100', 'cpuset.cpus': '0' };
    expect(await readFiles(directory, files)).toEqual(updated);
    const wrong = { cpu_quota: '20000', unified: { 'memory.high': 'much' } };
    await expectCode(stage.cri.call('UpdatePodSandboxResources', { pod_sandbox_id: pod.id, resources: wrong }), 'INVALID_ARGUMENT', /memory\.high/);
    expect(await readFiles(directory, files)).toEqual(updated);
    await kubelet.removePod(pod);
  });
}

/** A parent of the other driver's form is the request's fault, and changes nothing. */
export async function refusesParent(stage: Stage, parent: string, message: RegExp): Promise<void> {
  const config = await stage.kubelet.podConfig({ linux: { cgroup_parent: parent } });
  await expectCode(stage.cri.call('RunPodSandbox', { config, runtime_handler: '' }), 'INVALID_ARGUMENT', message);
  await stage.kubelet.tidy(config);
}

/** The cgroup of the pod: the one above the container's own, which is named after it. */
export async function podDirectory(stage: Stage, containerId: string): Promise<string> {
  let directory = await directoryOf(stage, containerId);
  while (directory.includes(containerId)) directory = path.dirname(directory);
  return directory;
}
