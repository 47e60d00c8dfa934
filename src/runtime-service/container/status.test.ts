import { rm } from 'node:fs/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { containerConfig, podConfig } from '../testing/requests.ts';
import { Rig } from '../testing/rig.ts';

let rig: Rig;
let pod: string;

beforeEach(async () => {
  rig = await Rig.make();
  pod = await rig.pod();
});

afterEach(async () => {
  await rig.close();
});

const statusOf = async (id: string) => (await rig.call('ContainerStatus', { container_id: id, verbose: false })).status;

test.each([
  ['Completed', { exitCode: 0 }],
  ['Error', { exitCode: 3 }],
  ['Error', { exitCode: 137, signal: 9 }],
  ['OOMKilled', { exitCode: 137, signal: 9, oomKilled: true }],
])('an exit is %s for %j', async (reason, changes) => {
  const id = await rig.running(pod);
  await rig.shim(id).change('exited', { state: 'exited', finishedAt: '2000', ...changes });
  rig.shim(id).close();
  await expect.poll(() => statusOf(id)).toMatchObject({ state: 'CONTAINER_EXITED', reason, exit_code: changes.exitCode, finished_at: '2000', started_at: '1000' });
});

test('one that ends before it was started is an error, even with the code 0', async () => {
  const id = await rig.container(pod);
  await rig.shim(id).exit(0);
  await expect.poll(() => statusOf(id)).toMatchObject({ state: 'CONTAINER_EXITED', reason: 'Error', started_at: '0' });
});

test('the verbose form tells the pid and the bundle; a bundle that is gone is none', async () => {
  const id = await rig.running(pod);
  const info = async () => JSON.parse((await rig.call('ContainerStatus', { container_id: id, verbose: true })).info?.['info'] ?? '') as Record<string, unknown>;
  expect(await info()).toMatchObject({ sandboxID: pod, pid: 4242, phase: 'running', runtimeSpec: { ociVersion: '1.2.0' }, cgroupPath: `/cgroup/berth/${pod}/${id}` });
  await rm(`${rig.directory}/state/shims/${id}/config.json`);
  expect(await info()).toMatchObject({ runtimeSpec: null });
  expect((await rig.call('ContainerStatus', { container_id: id, verbose: false })).info).toEqual({});
});

test('lists by id, prefix, pod, state and labels', async () => {
  const other = await rig.pod(podConfig({ metadata: { name: 'other', namespace: 'n', uid: 'u', attempt: 0 } }));
  const one = await rig.running(pod);
  const two = await rig.container(other, containerConfig({ labels: { tier: 'back' } }));
  function filterOf(given: { id?: string; pod_sandbox_id?: string; state?: 'CONTAINER_RUNNING' | 'CONTAINER_CREATED'; label_selector?: Record<string, string> }) {
    return { id: given.id ?? '', pod_sandbox_id: given.pod_sandbox_id ?? '', state: given.state === undefined ? null : { state: given.state }, label_selector: given.label_selector ?? {} };
  }
  const list = async (given: Parameters<typeof filterOf>[0]) => (await rig.call('ListContainers', { filter: filterOf(given) })).containers?.map(({ id }) => id);
  expect(await list({})).toEqual([one, two]);
  expect(await list({ id: one.slice(0, 16) })).toEqual([one]);
  expect(await list({ pod_sandbox_id: other.slice(0, 16) })).toEqual([two]);
  expect(await list({ pod_sandbox_id: other, id: one })).toEqual([]);
  expect(await list({ state: 'CONTAINER_RUNNING' })).toEqual([one]);
  expect(await list({ label_selector: { tier: 'back' } })).toEqual([two]);
  expect(await list({ label_selector: { tier: '' } })).toEqual([]);
  expect(await list({ id: 'f'.repeat(64) })).toEqual([]);
  expect((await rig.call('ListContainers', { filter: null })).containers?.[0]).toMatchObject({ pod_sandbox_id: pod, image_ref: `sha256:${'1'.repeat(64)}`, image: { image: 'busybox' } });
});

test('what the node can do, and why it may not', async () => {
  const { status, runtime_handlers, info } = await rig.call('Status', { verbose: true });
  expect(status?.conditions).toMatchObject([{ type: 'RuntimeReady', status: true }, { type: 'NetworkReady', status: true }]);
  expect(runtime_handlers?.map(({ name }) => name)).toEqual(['', 'berth']);
  expect(Object.keys(info ?? {})).toEqual(['config', 'cgroup', 'network', 'security', 'objects']);
  expect((await rig.call('Status', { verbose: false })).info).toEqual({});
  expect(await rig.call('RuntimeConfig', {})).toEqual({ linux: { cgroup_driver: 'CGROUPFS' } });
  expect(await rig.call('Version', {})).toMatchObject({ version: '0.1.0', runtime_name: 'berth', runtime_api_version: 'v1' });
  await rig.call('UpdateRuntimeConfig', { runtime_config: { network_config: { pod_cidr: '10.1.0.0/24' } } });
});
