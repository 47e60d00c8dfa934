/** Resources with the systemd driver: the same, and what systemd may do to them. */

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { busybox } from '../../harness/images.ts';
import { useStage } from '../../harness/stage.ts';
import { directoryOf, LIMIT_FILES, readFiles } from '../resources/cgroup-files.ts';
import { diskLimitsHold } from '../resources/disk.ts';
import { limitsHold, watchHog } from '../resources/effects.ts';
import { EVERYTHING, limitsAreInTheFiles, MIB, podDirectory, refusesParent } from '../resources/limits.ts';
import { CHANGED, CHANGED_IN_FILES, updatesAreWhole } from '../resources/updates.ts';

const run = promisify(execFile);

const stage = useStage({ images: { busybox }, enforceLimits: true, leakCheck: 'once', cgroupDriver: 'systemd', settings: '[runtime]\npids_limit = 2345\n' });

async function property(unit: string, name: string): Promise<string> {
  return (await run('systemctl', ['show', '--value', '--property', name, unit])).stdout.trim();
}

/** Units of Berth's that systemd has loaded. */
async function units(): Promise<string[]> {
  const { stdout } = await run('systemctl', ['list-units', '--all', '--plain', '--no-legend', '*berth-*.scope', 'berth*.slice']);
  return stdout.split('\n').map((line) => line.split(' ', 1)[0] ?? '').filter((name) => name !== '');
}

test('the driver is systemd where it is the init, and a path is no parent for it', async () => {
  const { linux } = await stage.cri.call('RuntimeConfig', {});
  expect(linux?.cgroup_driver).toBe('SYSTEMD');
  await refusesParent(stage, '/kubepods/pod1', /cgroup_parent.*systemd/);
});

test('a container is a delegated scope in the slice that the kubelet made for its pod', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const id = await kubelet.run(pod, { image: stage.ref('busybox'), command: ['sleep', '1000'] });
  const scope = `cri-berth-${id}.scope`;
  expect(await property(scope, 'Slice')).toBe(pod.config.linux?.cgroup_parent?.split('/').at(-1));
  expect(await property(scope, 'Delegate')).toBe('yes');
  expect(await property(scope, 'ActiveState')).toBe('active');
  await stage.cri.call('StopContainer', { container_id: id, timeout: '0' });
  await stage.cri.call('RemoveContainer', { container_id: id });
  expect(await property(scope, 'LoadState')).toBe('not-found');
  // The slice is the kubelet's.
  expect(await property(pod.config.linux?.cgroup_parent?.split('/').at(-1) ?? '', 'ActiveState')).toBe('active');
  await kubelet.removePod(pod);
});

test('a slice that is named without its path is found', async () => {
  const { kubelet } = stage;
  const config = await kubelet.podConfig();
  const pod = await kubelet.runPod({ linux: { ...config.linux, cgroup_parent: config.linux?.cgroup_parent?.split('/').at(-1) ?? '' } });
  const id = await kubelet.run(pod, { image: stage.ref('busybox'), command: ['sleep', '1000'] });
  expect(await podDirectory(stage, id)).toBe(`/sys/fs/cgroup${config.linux?.cgroup_parent}`);
  await kubelet.removePod(pod);
  await kubelet.removePod({ id: pod.id, config });
});

test('a pod that nobody has a slice for gets one, with a shared PID namespace too, and takes all of it along', async () => {
  const { kubelet } = stage;
  const options = { network: 'POD', pid: 'POD', ipc: 'POD' } as const;
  const pod = await kubelet.runPod({ linux: { cgroup_parent: '', security_context: { namespace_options: options } } });
  const linux = { security_context: { namespace_options: options } };
  const id = await kubelet.run(pod, { image: stage.ref('busybox'), command: ['sleep', '1000'], linux });
  expect(await podDirectory(stage, id)).toBe(`/sys/fs/cgroup/berth.slice/berth-pod${pod.id}.slice`);
  expect((await units()).toSorted()).toEqual(['berth.slice', `berth-pod${pod.id}.slice`, `cri-berth-${id}.scope`, `cri-berth-reaper-${pod.id}.scope`].toSorted());
  await kubelet.removePod(pod);
  expect(await units()).toEqual([]);
});

test('limits outlive a daemon-reload and a restart of berthd, changed ones too', async () => {
  const { kubelet, cri } = stage;
  const pod = await kubelet.runPod({ linux: { cgroup_parent: '', resources: { memory_limit_in_bytes: String(128 * MIB), cpu_quota: '90000', cpuset_cpus: '0-1' } } });
  const hog = await kubelet.run(pod, { name: 'hog', image: stage.ref('busybox'), command: ['sh', '-c', 'while :; do :; done'], linux: { resources: { cpu_quota: '20000' } } });
  const id = await kubelet.run(pod, { image: stage.ref('busybox'), command: ['sleep', '1000'], linux: { resources: EVERYTHING } });
  const [directory, above] = [await directoryOf(stage, id), await podDirectory(stage, id)];
  const ofPod = ['memory.max', 'cpu.max', 'cpuset.cpus'];
  const reload = (): Promise<unknown> => run('systemctl', ['daemon-reload']);

  await cri.call('UpdateContainerResources', { container_id: id, linux: CHANGED });
  await cri.call('UpdatePodSandboxResources', { pod_sandbox_id: pod.id, resources: { memory_limit_in_bytes: String(160 * MIB), cpu_quota: '80000' } });
  const changedPod = { 'memory.max': String(160 * MIB), 'cpu.max': '80000 100000', 'cpuset.cpus': '0-1' };
  await reload();
  expect(await readFiles(directory, LIMIT_FILES)).toMatchObject(CHANGED_IN_FILES);
  expect(await readFiles(above, ofPod)).toEqual(changedPod);
  expect(await property(`berth-pod${pod.id}.slice`, 'MemoryMax')).toBe(String(160 * MIB));

  await stage.daemon.stop();
  await stage.daemon.start();
  stage.reconnect();
  expect(await readFiles(directory, LIMIT_FILES)).toMatchObject(CHANGED_IN_FILES);
  await stage.cri.call('UpdateContainerResources', { container_id: id, linux: { memory_limit_in_bytes: String(100 * MIB) } });
  await reload();
  expect(await readFiles(directory, LIMIT_FILES)).toMatchObject({ ...CHANGED_IN_FILES, 'memory.max': String(100 * MIB) });
  expect(await readFiles(above, ofPod)).toEqual(changedPod);
  const { ofQuota } = await watchHog(await directoryOf(stage, hog), 20_000);
  process.stdout.write(`CPU hog after daemon-reload and restart: ${(ofQuota * 100).toFixed(1)} % of its quota\n`);
  expect(ofQuota).toBeLessThan(1.05);
  await kubelet.removePod(pod);
  expect(await units()).toEqual([]);
});

test('a bus that is started anew is found again', async () => {
  await run('systemctl', ['kill', '--signal=SIGKILL', 'dbus.service']);
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const { status } = await kubelet.runToEnd(pod, { image: stage.ref('busybox'), command: ['true'] });
  expect(status).toMatchObject({ exit_code: 0 });
  await kubelet.removePod(pod);
});

limitsAreInTheFiles(stage, 2345);
limitsHold(stage);
diskLimitsHold(stage);
updatesAreWhole(stage);
