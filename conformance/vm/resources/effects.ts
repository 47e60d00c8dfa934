/** What happens at a limit. */

import { writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { textOf } from '../../harness/cri-log.ts';
import type { Stage } from '../../harness/stage.ts';
import { eventually } from '../../harness/wait.ts';
import { directoryOf, keyed } from './cgroup-files.ts';
import { MIB } from './limits.ts';

/** How long a hog is watched, in ms: forty periods. */
const WATCH = 4000;
const HOG = 'while :; do :; done & while :; do :; done';

export interface QuotaFigures {
  /** Of the quota, in the periods in which there was something to run. */
  readonly ofQuota: number;
  /** Of the quota, by the clock on the wall; a busy machine may give less. */
  readonly byClock: number;
}

/** What a container that always wants to run got of `quota` microseconds in every 100 ms. */
export async function watchHog(directory: string, quota: number): Promise<QuotaFigures> {
  const look = async () => ({ used: await keyed(directory, 'cpu.stat', 'usage_usec'), periods: await keyed(directory, 'cpu.stat', 'nr_periods'), at: performance.now() });
  await eventually('the hog is throttled', async () => ((await keyed(directory, 'cpu.stat', 'nr_throttled')) > 2 ? true : undefined));
  const before = await look();
  await sleep(WATCH);
  const after = await look();
  const used = after.used - before.used;
  return { ofQuota: used / ((after.periods - before.periods) * quota), byClock: used / (((after.at - before.at) * 1000 * quota) / 100_000) };
}

export function limitsHold(stage: Stage): void {
  test('a CPU hog is held to its quota', async () => {
    const { kubelet } = stage;
    const pod = await kubelet.runPod();
    const resources = { cpu_period: '100000', cpu_quota: '30000' };
    const id = await kubelet.run(pod, { image: stage.ref('busybox'), command: ['sh', '-c', HOG], linux: { resources } });
    const { ofQuota, byClock } = await watchHog(await directoryOf(stage, id), 30_000);
    process.stdout.write(`CPU hog: ${(ofQuota * 100).toFixed(1)} % of its quota in its periods, ${(byClock * 100).toFixed(1)} % by the clock\n`);
    expect(ofQuota).toBeGreaterThan(0.95);
    expect(ofQuota).toBeLessThan(1.05);
    expect(byClock).toBeLessThan(1.05);
    await kubelet.removePod(pod);
  });

  test('a container that wants more memory than its limit is OOMKilled, and its neighbour is not', async () => {
    const { kubelet } = stage;
    const pod = await kubelet.runPod();
    const neighbour = await kubelet.run(pod, { name: 'neighbour', image: stage.ref('busybox'), command: ['sleep', '1000'] });
    const resources = { memory_limit_in_bytes: String(16 * MIB) };
    const { status } = await kubelet.runToEnd(pod, { name: 'hog', image: stage.ref('busybox'), command: ['tail', '/dev/zero'], linux: { resources } });
    expect(status).toMatchObject({ state: 'CONTAINER_EXITED', exit_code: 137, reason: 'OOMKilled' });
    expect(await kubelet.status(neighbour)).toMatchObject({ state: 'CONTAINER_RUNNING' });
    await kubelet.removePod(pod);
  });

  test.each([
    // What a kubelet asks for: all of the container goes with the one that was too large.
    ['the whole container goes', { 'memory.oom.group': '1' }, 'tail /dev/zero; sleep 1000', 137],
    ['its parent sees it and ends likewise', {}, 'tail /dev/zero', 137],
    ['its parent does not mind', {}, 'tail /dev/zero; exit 0', 0],
  ])('a child that wants too much memory is killed: %s, and the reason is OOMKilled', async (_title, unified, script, exitCode) => {
    const { kubelet } = stage;
    const pod = await kubelet.runPod();
    const linux = { resources: { memory_limit_in_bytes: String(16 * MIB), unified } };
    const { status } = await kubelet.runToEnd(pod, { image: stage.ref('busybox'), command: ['sh', '-c', `(${script})`], linux });
    expect(status).toMatchObject({ exit_code: exitCode, reason: 'OOMKilled' });
    await kubelet.removePod(pod);
  });

  test('a container without a limit of its own is OOMKilled at that of its pod', async () => {
    const { kubelet } = stage;
    const pod = await kubelet.runPod({ linux: { cgroup_parent: '', resources: { memory_limit_in_bytes: String(16 * MIB) } } });
    const { status } = await kubelet.runToEnd(pod, { image: stage.ref('busybox'), command: ['tail', '/dev/zero'] });
    expect(status).toMatchObject({ exit_code: 137, reason: 'OOMKilled' });
    await kubelet.removePod(pod);
  });

  test('a fork beyond the limit of processes is refused', async () => {
    const { kubelet } = stage;
    const pod = await kubelet.runPod();
    const script = 'for i in 1 2 3 4 5 6 7 8 9; do sleep 1000 & done; echo all';
    const linux = { resources: { unified: { 'pids.max': '5' } } };
    const { status, lines } = await kubelet.runToEnd(pod, { image: stage.ref('busybox'), command: ['sh', '-c', script], linux });
    expect(status).toMatchObject({ exit_code: 2 });
    expect(textOf(lines, 'stderr')).toMatch(/can't fork/);
    await kubelet.removePod(pod);
  });

  test('a process sees the CPUs and memory nodes that it may use', async () => {
    const { kubelet } = stage;
    const pod = await kubelet.runPod();
    const command = ['sh', '-c', 'grep _allowed_list /proc/self/status; nproc'];
    const linux = { resources: { cpuset_cpus: '1', cpuset_mems: '0' } };
    const { lines } = await kubelet.runToEnd(pod, { image: stage.ref('busybox'), command, linux });
    expect(textOf(lines, 'stdout')).toBe('Cpus_allowed_list:\t1\nMems_allowed_list:\t0\n1\n');
    await kubelet.removePod(pod);
  });

  test('huge pages beyond the limit are refused', async () => {
    await writeFile('/proc/sys/vm/nr_hugepages', '8');
    const { kubelet } = stage;
    const pod = await kubelet.runPod();
    // A file in this file system takes whole pages of 2 MiB.
    const mounts = [{ host_path: '/dev/hugepages', container_path: '/huge' }];
    const command = ['sh', '-c', 'fallocate -l 2097152 /huge/$HOSTNAME && echo one; fallocate -l 4194304 /huge/$HOSTNAME; echo $?; rm /huge/$HOSTNAME'];
    const linux = { resources: { hugepage_limits: [{ page_size: '2MB', limit: String(2 * MIB) }] } };
    const { lines } = await kubelet.runToEnd(pod, { image: stage.ref('busybox'), command, mounts, linux });
    expect(textOf(lines, 'stdout')).toBe('one\n1\n');
    expect(textOf(lines, 'stderr')).toMatch(/No space left|Cannot allocate/);
    await kubelet.removePod(pod);
    await writeFile('/proc/sys/vm/nr_hugepages', '0');
  });
}
