import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { containerConfig } from '../testing/requests.ts';
import { Rig } from '../testing/rig.ts';

let rig: Rig;
let pod: string;
let id: string;

beforeEach(async () => {
  rig = await Rig.make();
  pod = await rig.pod();
  id = await rig.running(pod);
});

afterEach(async () => {
  await rig.close();
});

const stop = (timeout: string, signal?: AbortSignal) => rig.call('StopContainer', { container_id: id, timeout }, signal);
const statusOf = async () => (await rig.call('ContainerStatus', { container_id: id })).status;

test('a container that heeds its stop signal ends by it, once', async () => {
  rig.shim(id).endsOn = [3];
  await stop('30');
  expect(rig.shim(id).signals()).toEqual([3]);
  expect(await statusOf()).toMatchObject({ state: 'CONTAINER_EXITED', exit_code: 131, finished_at: '2000', reason: 'Error' });
  await stop('30');
  await stop('0');
  expect(rig.shim(id).signals()).toEqual([3]);
});

test('a program that ends well is Completed', async () => {
  await rig.shim(id).exit(0);
  await expect.poll(statusOf).toMatchObject({ state: 'CONTAINER_EXITED', exit_code: 0, reason: 'Completed', message: '' });
});

test('without grace it is killed at once', async () => {
  await stop('0');
  expect(rig.shim(id).signals()).toEqual([9]);
  expect(await statusOf()).toMatchObject({ state: 'CONTAINER_EXITED', exit_code: 137 });
});

test('one that does not heed it is killed after the grace', async () => {
  rig.shim(id).endsOn = [];
  await stop('1');
  expect(rig.shim(id).signals()).toEqual([3, 9]);
});

test('a later call with a shorter grace takes over, and both succeed', async () => {
  rig.shim(id).endsOn = [];
  const patient = stop('3000');
  await expect.poll(() => rig.shim(id).signals()).toEqual([3]);
  await stop('0');
  await patient;
  expect(rig.shim(id).signals()).toEqual([3, 9]);
});

test('a cancelled stop does not kill, and a repeated one does not signal again', async () => {
  rig.shim(id).endsOn = [];
  const controller = new AbortController();
  const given = stop('3000', controller.signal);
  await expect.poll(() => rig.shim(id).signals()).toEqual([3]);
  controller.abort(new Error('client gone'));
  await expect(given).rejects.toThrow('client gone');
  expect(await statusOf()).toMatchObject({ state: 'CONTAINER_RUNNING' });
  await stop('1');
  expect(rig.shim(id).signals()).toEqual([3, 9]);
});

test('unknown and created containers are success, a negative grace is not', async () => {
  await rig.call('StopContainer', { container_id: 'f'.repeat(64), timeout: '0' });
  await rig.call('RemoveContainer', { container_id: 'f'.repeat(64) });
  await expect(stop('-1')).rejects.toMatchObject({ code: 'INVALID_FIELD' });
});

test('a running container is removed by force', async () => {
  rig.shim(id).endsOn = [];
  await rig.call('RemoveContainer', { container_id: id });
  expect(rig.shim(id).signals()).toEqual([9]);
  await expect(statusOf()).rejects.toMatchObject({ code: 'CONTAINER_NOT_FOUND' });
});

test('a shim that dies without a word leaves an unknown status, never 0', async () => {
  rig.shim(id).close();
  await expect.poll(statusOf).toMatchObject({ state: 'CONTAINER_EXITED', exit_code: 255, reason: 'Unknown' });
  await stop('10');
});

test('a shim that closes its connection and lives is connected to again', async () => {
  const shim = rig.shim(id);
  shim.drop();
  await expect.poll(() => shim.requests.filter(({ type }) => type === 32)).toHaveLength(2);
  expect(await statusOf()).toMatchObject({ state: 'CONTAINER_RUNNING' });
  await stop('0');
  expect(await statusOf()).toMatchObject({ state: 'CONTAINER_EXITED', exit_code: 137 });
});

test('a shim that hangs does not hold up its container once no process of that is left', async () => {
  const timeout = AbortSignal.timeout.bind(AbortSignal);
  const impatient = vi.spyOn(AbortSignal, 'timeout').mockImplementation((milliseconds) => timeout(Math.min(milliseconds, 20)));
  rig.shim(id).deaf = true;
  rig.hooks.set('cgroups.remove', () => Promise.reject(new Error('a process is left')));
  await expect(stop('0')).rejects.toMatchObject({ code: 'SHIM_UNAVAILABLE' });
  expect(await statusOf()).toMatchObject({ state: 'CONTAINER_RUNNING' });
  rig.hooks.clear();
  await stop('0');
  expect(await statusOf()).toMatchObject({ state: 'CONTAINER_EXITED', exit_code: 255, reason: 'Unknown' });
  impatient.mockRestore();
  await rig.call('RemovePodSandbox', { pod_sandbox_id: pod });
  expect(await rig.left()).toEqual([]);
});

test('stop, removal and a second removal at once all succeed', async () => {
  rig.shim(id).endsOn = [];
  await Promise.all([
    stop('3000'),
    rig.call('RemoveContainer', { container_id: id }),
    rig.call('RemoveContainer', { container_id: id }),
    rig.call('StopPodSandbox', { pod_sandbox_id: pod }),
    rig.call('RemovePodSandbox', { pod_sandbox_id: pod }),
  ]);
  expect(await rig.left()).toEqual([]);
});

test('a stop waits for the start under way, so that what it stops stays stopped', async () => {
  const second = await rig.container(pod, containerConfig({ metadata: { name: 'second', attempt: 0 } }));
  const start = rig.call('StartContainer', { container_id: second });
  await rig.call('StopContainer', { container_id: second, timeout: '0' });
  await start;
  expect((await rig.call('ContainerStatus', { container_id: second })).status).toMatchObject({ state: 'CONTAINER_EXITED', exit_code: 137 });
});

test('stopping the pod ends its containers, and removing it removes them', async () => {
  await rig.call('StopPodSandbox', { pod_sandbox_id: pod });
  expect(await statusOf()).toMatchObject({ state: 'CONTAINER_EXITED', exit_code: 137 });
  expect((await rig.call('PodSandboxStatus', { pod_sandbox_id: pod })).containers_statuses).toHaveLength(1);
  await rig.call('RemovePodSandbox', { pod_sandbox_id: pod });
  expect(await rig.left()).toEqual([]);
});
