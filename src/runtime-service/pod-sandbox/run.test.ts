import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { namespaces, podConfig, podLinux, podSecurity, resources } from '../testing/requests.ts';
import { Rig } from '../testing/rig.ts';
import type { Point } from '../testing/rig.ts';

let rig: Rig;

beforeEach(async () => {
  rig = await Rig.make();
});

afterEach(async () => {
  await rig.close();
});

const withOptions = (changes: Parameters<typeof namespaces>[0], linux: Parameters<typeof podLinux>[0] = {}) =>
  podConfig({ linux: podLinux({ security_context: podSecurity({ namespace_options: namespaces(changes) }), ...linux }) });

test('a pod has pinned namespaces, addresses, files and a cgroup; stopped and removed, nothing is left', async () => {
  const id = await rig.pod(podConfig({ dns_config: { servers: ['10.0.0.10'], searches: ['a', 'b'], options: ['ndots:5'] } }));
  expect(id).toMatch(/^[0-9a-f]{64}$/);
  expect(rig.pinned.get(id)).toMatchObject({ net: join(rig.directory, 'netns', `berth-${id}`), hostname: 'web-0', cgroup: `/cgroup/berth/${id}/berth-reaper` });
  const files = join(rig.directory, 'root/sandboxes', id);
  expect(await readFile(join(files, 'hostname'), 'utf8')).toBe('web-0\n');
  expect(await readFile(join(files, 'resolv.conf'), 'utf8')).toBe('search a b\nnameserver 10.0.0.10\noptions ndots:5\n');
  const { status } = await rig.call('PodSandboxStatus', { pod_sandbox_id: id.slice(0, 12), verbose: true });
  expect(status).toMatchObject({ state: 'SANDBOX_READY', network: { ip: '10.1.0.2', additional_ips: [{ ip: 'fd00::2' }] } });
  await rig.call('StopPodSandbox', { pod_sandbox_id: id });
  const stopped = await rig.call('PodSandboxStatus', { pod_sandbox_id: id });
  expect(stopped.status).toMatchObject({ state: 'SANDBOX_NOTREADY', network: { ip: '', additional_ips: [] } });
  expect([rig.pinned.size, rig.attached.size]).toEqual([0, 0]);
  await rig.call('StopPodSandbox', { pod_sandbox_id: id });
  await rig.call('RemovePodSandbox', { pod_sandbox_id: id });
  await rig.call('RemovePodSandbox', { pod_sandbox_id: id });
  await rig.call('StopPodSandbox', { pod_sandbox_id: id });
  expect(await rig.left()).toEqual([]);
  await expect(rig.call('PodSandboxStatus', { pod_sandbox_id: id })).rejects.toMatchObject({ code: 'SANDBOX_NOT_FOUND' });
});

test('a pod in the node\'s network and IPC makes no namespaces of those', async () => {
  const id = await rig.pod(withOptions({ network: 'NODE', ipc: 'NODE', pid: 'CONTAINER' }));
  expect(rig.pinned.get(id)).toMatchObject({ net: '', uts: '', ipc: '', shm: '', pid: '', cgroup: '', hostname: '' });
  expect(rig.attached.size).toBe(0);
});

const points: Point[] = ['cgroups.create', 'launcher.createSandbox', 'network.setUp'];

test.each(points)('a failure at %s leaves nothing, not even the name', async (point) => {
  rig.failAt(point);
  await expect(rig.pod()).rejects.toThrow(`${point} fails`);
  expect(await rig.left()).toEqual([]);
  expect((await rig.call('ListPodSandbox', { filter: null })).items).toEqual([]);
  await rig.pod();
});

test('what cannot be undone stays listed, not ready, without the name, until a removal succeeds', async () => {
  rig.failAt('network.setUp');
  rig.failAt('network.tearDown');
  await expect(rig.pod()).rejects.toThrow('network.setUp fails');
  const { items } = await rig.call('ListPodSandbox', { filter: null });
  expect(items).toMatchObject([{ state: 'SANDBOX_NOTREADY', metadata: { name: 'web' } }]);
  const second = await rig.pod();
  await rig.restart();
  await expect(rig.pod()).rejects.toMatchObject({ code: 'NAME_CONFLICT', message: expect.stringContaining(second) as string });
  await rig.call('RemovePodSandbox', { pod_sandbox_id: items?.[0]?.id ?? '' });
  await rig.call('RemovePodSandbox', { pod_sandbox_id: second });
  expect(await rig.left()).toEqual([]);
});

test('a retry joins the call in flight, whatever the order of its maps', async () => {
  const { reached, release } = rig.holdAt('network.setUp');
  const first = rig.pod(podConfig({ labels: { a: '1', b: '2' } }));
  await reached;
  const second = rig.pod(podConfig({ labels: { b: '2', a: '1' } }));
  await expect(rig.pod(podConfig({ labels: { a: '2' } }))).rejects.toMatchObject({ code: 'NAME_CONFLICT' });
  release();
  expect(await second).toBe(await first);
  expect((await rig.call('ListPodSandbox', { filter: null })).items).toHaveLength(1);
});

test('a client that gave up gets the sandbox with its retry', async () => {
  const { reached, release } = rig.holdAt('network.setUp');
  const controller = new AbortController();
  const first = rig.pod(undefined, controller.signal);
  await reached;
  controller.abort(new Error('client gone'));
  await expect(first).rejects.toThrow('client gone');
  expect((await rig.call('ListPodSandbox', { filter: null })).items).toEqual([]);
  release();
  const id = await rig.pod();
  expect((await rig.call('ListPodSandbox', { filter: null })).items).toMatchObject([{ id, state: 'SANDBOX_READY' }]);
});

test('a failed stop says so, keeps what it holds in the ledger, and the next one finishes', async () => {
  const id = await rig.pod();
  rig.failAt('network.tearDown');
  await expect(rig.call('StopPodSandbox', { pod_sandbox_id: id })).rejects.toThrow('network.tearDown fails');
  expect([rig.pinned.size, rig.attached.size]).toEqual([0, 1]);
  await rig.call('StopPodSandbox', { pod_sandbox_id: id });
  expect(rig.attached.size).toBe(0);
});

test('a failed removal keeps the sandbox, and the next one finishes', async () => {
  const id = await rig.pod();
  rig.failAt('cgroups.remove');
  await expect(rig.call('RemovePodSandbox', { pod_sandbox_id: id })).rejects.toThrow('cgroups.remove fails');
  expect((await rig.call('ListPodSandbox', { filter: null })).items).toHaveLength(1);
  await rig.call('RemovePodSandbox', { pod_sandbox_id: id });
  expect(await rig.left()).toEqual([]);
});

test('pods below a parent that was not there remove it with the last of them; one that was there stays', async () => {
  rig.cgroupDirectories.add('/cgroup/kubepods');
  const pods = await Promise.all(['a', 'b'].map((name) =>
    rig.pod(podConfig({ metadata: { name, namespace: 'n', uid: name, attempt: 0 }, linux: podLinux({ cgroup_parent: '/kubepods/burstable/x' }) }))));
  for (const id of pods) {
    expect(rig.cgroupDirectories.has('/cgroup/kubepods/burstable/x')).toBe(true);
    await rig.call('RemovePodSandbox', { pod_sandbox_id: id });
  }
  expect([...rig.cgroupDirectories]).toEqual(['/cgroup/kubepods']);
});

test('the pod\'s limits go to a cgroup that Berth made, and not to one of the kubelet', async () => {
  const limits = podLinux({ resources: resources({ memory_limit_in_bytes: '1048576' }), cgroup_parent: '/kubepods/pod1' });
  await rig.pod(podConfig({ linux: limits }));
  expect(rig.limits.get('/cgroup/kubepods/pod1')).toEqual(['memory.swap.max=0', 'memory.max=1048576']);
  rig.cgroupDirectories.add('/cgroup/kubepods/pod2');
  await rig.pod(podConfig({ metadata: { name: 'two', namespace: 'n', uid: 'u', attempt: 0 }, linux: { ...limits, cgroup_parent: '/kubepods/pod2' } }));
  expect(rig.limits.get('/cgroup/kubepods/pod2')).toEqual([]);
});

test('an invalid request changes nothing', async () => {
  await expect(rig.pod(podConfig({ metadata: null }))).rejects.toMatchObject({ code: 'INVALID_FIELD' });
  await expect(rig.call('RunPodSandbox', { config: podConfig(), runtime_handler: 'gvisor' })).rejects.toMatchObject({ code: 'UNKNOWN_HANDLER' });
  expect(await rig.left()).toEqual([]);
});

test('lists by id, prefix, state and labels', async () => {
  const one = await rig.pod(podConfig({ labels: { app: 'web', tier: 'x' } }));
  const two = await rig.pod(podConfig({ metadata: { name: 'two', namespace: 'n', uid: 'u', attempt: 0 } }));
  await rig.call('StopPodSandbox', { pod_sandbox_id: two });
  const list = async (filter: { id?: string; state?: 'SANDBOX_READY' | 'SANDBOX_NOTREADY'; label_selector?: Record<string, string> }) => {
    const state = filter.state === undefined ? null : { state: filter.state };
    const { items } = await rig.call('ListPodSandbox', { filter: { id: filter.id ?? '', state, label_selector: filter.label_selector ?? {} } });
    return items?.map(({ id }) => id);
  };
  expect(await list({})).toEqual([one, two]);
  expect(await list({ id: two })).toEqual([two]);
  expect(await list({ id: one.slice(0, 20) })).toEqual([one]);
  expect(await list({ id: 'f'.repeat(64) })).toEqual([]);
  expect(await list({ state: 'SANDBOX_NOTREADY' })).toEqual([two]);
  expect(await list({ label_selector: { app: 'web' } })).toEqual([one, two]);
  expect(await list({ label_selector: { app: 'web', tier: 'x' } })).toEqual([one]);
  expect(await list({ label_selector: { app: 'web' }, state: 'SANDBOX_NOTREADY', id: one })).toEqual([]);
});
