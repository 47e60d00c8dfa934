import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { LinuxContainerResources__Output } from '../../cri-server/generated/runtime/v1/LinuxContainerResources.ts';
import { containerConfig, podConfig, podLinux, podSecurity, resources, security } from '../testing/requests.ts';
import { Rig } from '../testing/rig.ts';

let rig: Rig;

beforeEach(async () => {
  rig = await Rig.make();
});

afterEach(async () => {
  await rig.close();
});

const update = (id: string, linux: LinuxContainerResources__Output | null) =>
  rig.call('UpdateContainerResources', { container_id: id, linux, windows: null, annotations: {} });

const limited = containerConfig({ linux: { resources: resources({ memory_limit_in_bytes: '1000' }), security_context: security() } });

async function told(id: string): Promise<unknown> {
  return (await rig.call('ContainerStatus', { container_id: id, verbose: false })).status?.resources?.linux;
}

function limits(id: string): readonly string[] {
  return [...rig.limits].find(([directory]) => directory.endsWith(id))?.[1] ?? [];
}

test('given values are written, before the start and after it, and the status shows the whole', async () => {
  const id = await rig.container(await rig.pod(), limited);
  await update(id, resources({ cpu_quota: '20000' }));
  await rig.call('StartContainer', { container_id: id });
  await update(id, resources({ memory_limit_in_bytes: '2000' }));
  expect(limits(id)).toEqual(['pids.max=512', 'memory.swap.max=0', 'memory.max=1000', 'cpu.max=20000 100000', 'memory.swap.max=0', 'memory.max=2000']);
  expect(await told(id)).toEqual(resources({ memory_limit_in_bytes: '2000', cpu_quota: '20000' }));
  await rig.restart();
  expect(await told(id)).toEqual(resources({ memory_limit_in_bytes: '2000', cpu_quota: '20000' }));
});

test('an invalid value changes nothing, and neither does one that the kernel refuses', async () => {
  const id = await rig.running(await rig.pod(), limited);
  const before = limits(id);
  await expect(update(id, resources({ memory_limit_in_bytes: '2000', cpu_period: '1' }))).rejects.toMatchObject({ code: 'INVALID_FIELD' });
  await expect(update(id, resources({ memory_limit_in_bytes: '2000', oom_score_adj: '1001' }))).rejects.toMatchObject({ code: 'INVALID_FIELD' });
  rig.failAt('cgroups.update');
  await expect(update(id, resources({ memory_limit_in_bytes: '2000' }))).rejects.toThrow(`update container ${id}`);
  expect(limits(id)).toEqual(before);
  expect(await told(id)).toEqual(resources({ memory_limit_in_bytes: '1000' }));
});

test('what cannot be written down is undone', async () => {
  const id = await rig.running(await rig.pod(), limited);
  const before = limits(id);
  // A directory where the new record goes.
  const obstacle = join(rig.directory, 'root/containers', id, 'record.json.new');
  await mkdir(obstacle);
  await expect(update(id, resources({ memory_limit_in_bytes: '2000' }))).rejects.toMatchObject({ code: 'STATE_FAILED' });
  await rm(obstacle, { recursive: true });
  expect(limits(id)).toEqual(before);
  expect(await told(id)).toEqual(resources({ memory_limit_in_bytes: '1000' }));
});

test('the first process gets its new OOM score, and the old one back when the update fails', async () => {
  const program = spawn('sleep', ['60'], { stdio: 'ignore' });
  try {
    await once(program, 'spawn');
    rig.onLaunch = async (shim) => {
      shim.status.pid = program.pid ?? 0;
      await shim.listen('created');
    };
    const id = await rig.container(await rig.pod(), limited);
    const score = () => readFile(`/proc/${program.pid}/oom_score_adj`, 'utf8').then((text) => text.trim());
    await update(id, resources({ oom_score_adj: '700' }));
    expect(await score()).toBe('700');
    await mkdir(join(rig.directory, 'root/containers', id, 'record.json.new'));
    await expect(update(id, resources({ oom_score_adj: '800' }))).rejects.toMatchObject({ code: 'STATE_FAILED' });
    expect(await score()).toBe('700');
  } finally {
    program.kill();
  }
});

test('a container that has ended, or is none, is refused', async () => {
  const id = await rig.running(await rig.pod(), limited);
  await rig.shim(id).exit(0, 0);
  await rig.call('StopContainer', { container_id: id, timeout: '0' });
  await expect(update(id, resources({ cpu_quota: '20000' }))).rejects.toMatchObject({ code: 'CONTAINER_WRONG_STATE' });
  await expect(update('f'.repeat(64), resources({ cpu_quota: '20000' }))).rejects.toMatchObject({ code: 'CONTAINER_NOT_FOUND' });
});

test('an update of nothing is none', async () => {
  const id = await rig.running(await rig.pod(), limited);
  await update(id, null);
  await update(id, resources());
  expect(await told(id)).toEqual(resources({ memory_limit_in_bytes: '1000' }));
});

const updatePod = (id: string, given: LinuxContainerResources__Output) =>
  rig.call('UpdatePodSandboxResources', { pod_sandbox_id: id, overhead: null, resources: given });

test('a pod\'s own cgroup follows its resources, the kubelet\'s is left to the kubelet', async () => {
  const overhead = resources({ memory_limit_in_bytes: '10' });
  const own = await rig.pod(podConfig({ linux: podLinux({ security_context: podSecurity(), overhead }) }));
  await updatePod(own, resources({ memory_limit_in_bytes: '100' }));
  expect(limits(own)).toEqual(['memory.swap.max=0', 'memory.max=110']);

  rig.cgroupDirectories.add('/cgroup/kubepods').add('/cgroup/kubepods/pod2');
  const metadata = { name: 'two', namespace: 'shop', uid: 'u-2', attempt: 0 };
  const given = await rig.pod(podConfig({ metadata, linux: podLinux({ security_context: podSecurity(), cgroup_parent: '/kubepods/pod2' }) }));
  await updatePod(given, resources({ memory_limit_in_bytes: '100' }));
  expect(rig.limits.get('/cgroup/kubepods/pod2')).toEqual([]);
  const { info } = await rig.call('PodSandboxStatus', { pod_sandbox_id: given, verbose: true });
  expect(JSON.parse(info?.['info'] ?? '{}')).toMatchObject({ config: { linux: { resources: { memory_limit_in_bytes: '100' } } } });
});

test('a pod that has been stopped is not updated', async () => {
  const id = await rig.pod();
  await rig.call('StopPodSandbox', { pod_sandbox_id: id });
  await expect(updatePod(id, resources({ memory_limit_in_bytes: '100' }))).rejects.toMatchObject({ code: 'SANDBOX_NOT_READY' });
});
