import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FakeShim } from '../shim/testing/fake-shim.ts';
import { containerConfig } from './testing/requests.ts';
import { Rig } from './testing/rig.ts';

let rig: Rig;
let pod: string;

beforeEach(async () => {
  rig = await Rig.make();
  pod = await rig.pod();
});

afterEach(async () => {
  await rig.close();
});

const statusOf = async (id: string) => (await rig.call('ContainerStatus', { container_id: id })).status;
const recordFile = (kind: string, id: string) => join(rig.directory, 'root', kind, id, 'record.json');

async function edit(kind: 'sandboxes' | 'containers', id: string, changes: object): Promise<void> {
  const record = JSON.parse(await readFile(recordFile(kind, id), 'utf8')) as object;
  await writeFile(recordFile(kind, id), JSON.stringify({ ...record, ...changes }));
}

test('containers go on; they are listed, executed in, stopped and removed afterwards', async () => {
  const id = await rig.running(pod);
  const created = await rig.container(pod, containerConfig({ metadata: { name: 'second', attempt: 0 } }));
  await rig.restart();
  expect(await statusOf(id)).toMatchObject({ state: 'CONTAINER_RUNNING', started_at: '1000' });
  expect((await rig.call('ExecSync', { container_id: id, cmd: ['hi'], timeout: '0' })).exit_code).toBe(0);
  await rig.call('StartContainer', { container_id: created });
  await rig.call('StopContainer', { container_id: id, timeout: '0' });
  expect(await statusOf(id)).toMatchObject({ exit_code: 137 });
  await expect(rig.pod()).rejects.toMatchObject({ code: 'NAME_CONFLICT' });
  await rig.call('RemovePodSandbox', { pod_sandbox_id: pod });
  expect(await rig.left()).toEqual([]);
});

test('one that was started or exited meanwhile has its true state, code and time', async () => {
  const [exited, started] = [await rig.running(pod), await rig.container(pod, containerConfig({ metadata: { name: 'second', attempt: 0 } }))];
  await rig.restart(async () => {
    await rig.shim(exited).exit(42);
    await rig.shim(started).change('started', { state: 'running', startedAt: '1700' });
  });
  expect(await statusOf(exited)).toMatchObject({ state: 'CONTAINER_EXITED', exit_code: 42, finished_at: '2000', reason: 'Error' });
  expect(await statusOf(started)).toMatchObject({ state: 'CONTAINER_RUNNING', started_at: '1700' });
});

test('a lost shim is an unknown exit, and its container can be removed', async () => {
  const id = await rig.running(pod);
  await rig.restart(() => Promise.resolve(rig.shim(id).close()));
  expect(await statusOf(id)).toMatchObject({ state: 'CONTAINER_EXITED', exit_code: 255, reason: 'Unknown' });
  await rig.call('RemoveContainer', { container_id: id });
});

test('objects that were half made are undone, and their names are free', async () => {
  const id = await rig.container(pod);
  await edit('containers', id, { phase: 'creating' });
  await rig.restart();
  expect((await rig.call('ListContainers', { filter: null })).containers).toEqual([]);
  await rig.container(pod);
  await rig.call('RemovePodSandbox', { pod_sandbox_id: pod });
  const half = await rig.pod();
  await edit('sandboxes', half, { phase: 'creating' });
  await rig.restart();
  expect(await rig.left()).toEqual([]);
  await rig.pod();
});

test('after a reboot nothing has survived, and what did is given back', async () => {
  const id = await rig.running(pod);
  await rig.restart(async () => {
    rig.shim(id).close();
    await edit('containers', id, { bootId: 'another' });
    await edit('sandboxes', pod, { bootId: 'another' });
  });
  expect(await statusOf(id)).toMatchObject({ state: 'CONTAINER_EXITED', exit_code: 255, reason: 'Unknown', message: expect.stringContaining('restarted') as string });
  expect((await rig.call('PodSandboxStatus', { pod_sandbox_id: pod })).status).toMatchObject({ state: 'SANDBOX_NOTREADY' });
  expect(rig.attached.size).toBe(0);
});

test('broken records are listed, stop nobody else from loading, and can be removed with what they hold', async () => {
  const id = await rig.running(pod);
  const other = await rig.running(pod, containerConfig({ metadata: { name: 'second', attempt: 0 } }));
  await rig.restart(async () => {
    await writeFile(recordFile('containers', id), '{"version":1,"id"');
    await writeFile(recordFile('sandboxes', pod), JSON.stringify({ version: 1, id: pod, phase: 'ready' }));
  });
  expect(await statusOf(id)).toMatchObject({ state: 'CONTAINER_UNKNOWN' });
  expect(await statusOf(other)).toMatchObject({ state: 'CONTAINER_RUNNING' });
  expect((await rig.call('ListPodSandbox', { filter: null })).items).toMatchObject([{ id: pod, state: 'SANDBOX_NOTREADY' }]);
  await rig.call('RemoveContainer', { container_id: id });
  expect(rig.shim(id).status.state).toBe('exited');
  await rig.call('RemovePodSandbox', { pod_sandbox_id: pod });
  expect(await rig.left()).toEqual([]);
});

test('shims, namespaces and addresses of nobody are released', async () => {
  await rig.call('RemovePodSandbox', { pod_sandbox_id: pod });
  const [lost, gone] = ['a'.repeat(64), 'b'.repeat(64)];
  const shim = await new FakeShim(lost, join(rig.directory, 'state/shims', lost)).listen('running');
  rig.shims.set(lost, shim);
  await writeFile(join(shim.stateDir, 'berth.json'), JSON.stringify({ cgroup: `/cgroup/berth/${gone}/${lost}` }));
  rig.cgroupDirectories.add(`/cgroup/berth/${gone}/${lost}`);
  await mkdir(join(rig.directory, 'state/ns', gone), { recursive: true });
  rig.attached.add(gone);
  await rig.restart();
  expect(shim.status.state).toBe('exited');
  expect(await rig.left()).toEqual([]);
});

test('left-overs that cannot be cleared do not keep the daemon from serving', async () => {
  await mkdir(join(rig.directory, 'state/ns', 'c'.repeat(64)), { recursive: true });
  rig.hooks.set('launcher.deleteSandbox', () => Promise.reject(new Error('busy')));
  await rig.restart();
  expect((await rig.call('ListPodSandbox', { filter: null })).items).toMatchObject([{ id: pod, state: 'SANDBOX_READY' }]);
});

test('a bundle that names a cgroup outside the hierarchy, or another one\'s, has none', async () => {
  const lost = 'd'.repeat(64);
  const directory = join(rig.directory, 'state/shims', lost);
  for (const cgroup of ['/etc', `/cgroup/../${lost}`, `/cgroup/berth/${pod}`, 7]) {
    await mkdir(directory, { recursive: true });
    await writeFile(join(directory, 'berth.json'), JSON.stringify({ cgroup }));
    rig.hooks.set('cgroups.remove', () => Promise.reject(new Error(`removed ${String(cgroup)}`)));
    await rig.restart();
    expect(await rig.left()).not.toContain(`state/shims/${lost}`);
  }
});
