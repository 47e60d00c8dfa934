import { readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { messageType } from '../../shim/protocol.ts';
import { containerConfig, namespaces, podConfig, podLinux, podSecurity, security } from '../testing/requests.ts';
import { Rig } from '../testing/rig.ts';
import type { Point } from '../testing/rig.ts';

let rig: Rig;
let pod: string;
let before: string[];

beforeEach(async () => {
  rig = await Rig.make();
  pod = await rig.pod();
  before = await rig.left();
});

afterEach(async () => {
  await rig.close();
});

const statusOf = async (id: string) => (await rig.call('ContainerStatus', { container_id: id, verbose: false })).status;

test('a container is created, started, seen, and removed without a trace', async () => {
  const id = await rig.container(pod);
  expect(await statusOf(id)).toMatchObject({
    id,
    state: 'CONTAINER_CREATED',
    started_at: '0',
    finished_at: '0',
    reason: '',
    image: { image: 'docker.io/library/busybox:latest', user_specified_image: 'busybox:latest' },
    image_id: `sha256:${'1'.repeat(64)}`,
    image_ref: expect.stringContaining('@sha256:') as string,
    log_path: '/var/log/pods/web/main/0.log',
    user: { linux: { uid: '7', gid: '8', supplemental_groups: ['9'] } },
    stop_signal: 'SIGNAL_SIGQUIT',
  });
  const bundle = JSON.parse(await readFile(join(rig.directory, 'state/shims', id, 'config.json'), 'utf8')) as { process: { args: string[] } };
  expect(bundle.process.args).toEqual(['/entry', 'serve']);
  expect(rig.limits.get(`/cgroup/berth/${pod}/${id}`)).toEqual(['pids.max=512']);
  expect((await stat(join(rig.directory, 'root/containers', id, 'upper'))).isDirectory()).toBe(true);
  await rig.call('StartContainer', { container_id: id.slice(0, 10) });
  expect(await statusOf(id)).toMatchObject({ state: 'CONTAINER_RUNNING', started_at: '1000' });
  await rig.call('RemoveContainer', { container_id: id });
  await rig.call('RemoveContainer', { container_id: id });
  expect(await rig.left()).toEqual(before);
  await expect(statusOf(id)).rejects.toMatchObject({ code: 'CONTAINER_NOT_FOUND' });
});

const points: Point[] = ['cgroups.create', 'launcher.createContainer'];

test.each(points)('a failure at %s leaves nothing, not even the name', async (point) => {
  rig.failAt(point);
  await expect(rig.container(pod)).rejects.toThrow(`${point} fails`);
  expect(await rig.left()).toEqual(before);
  expect((await rig.call('ListContainers', { filter: null })).containers).toEqual([]);
  await rig.container(pod);
});

test('one part that fails while another is still being made: that one too is gone when the call returns', async () => {
  await rm(join(rig.directory, 'layer'), { recursive: true });
  const cgroup = rig.holdAt('cgroups.create');
  const creation = rig.container(pod);
  let over = false;
  const done = creation.then(() => undefined, () => {
    over = true;
  });
  await cgroup.reached;
  const [id] = [...rig.retained];
  await expect.poll(() => stat(join(rig.directory, 'state/shims', id ?? '', 'berth.json')).then((info) => info.isFile(), () => false)).toBe(true);
  // Long enough for an undoing that does not wait to be over; the right one waits for the gate.
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(over).toBe(false);
  cgroup.release();
  await done;
  expect(over).toBe(true);
  expect(await rig.left()).toEqual(before);
});

const noSource = { step: 'mount', path: '/data', errno: 2, errnoName: 'ENOENT', message: 'no such source' };

test.each([
  ['while it is listened to', async (shim: Parameters<Rig['onLaunch']>[0]) => {
    await shim.listen('creating');
    setImmediate(() => void shim.fail(noSource));
  }],
  ['before anybody listened', async (shim: Parameters<Rig['onLaunch']>[0]) => {
    await shim.listen('creating');
    await shim.fail(noSource);
  }],
])('a set-up error told by the shim %s is the error of the call', async (_, onLaunch) => {
  rig.onLaunch = onLaunch;
  await expect(rig.container(pod)).rejects.toMatchObject({ code: 'CONTAINER_SETUP_REJECTED', message: expect.stringContaining('mount /data: no such source [ENOENT]') as string });
  expect(await rig.left()).toEqual(before);
});

test('a shim that is lost during set-up is an error, and nothing is left', async () => {
  rig.onLaunch = async (shim) => {
    await shim.listen('creating');
    setImmediate(() => shim.close());
  };
  await expect(rig.container(pod)).rejects.toMatchObject({ code: 'SHIM_UNAVAILABLE' });
  expect(await rig.left()).toEqual(before);
});

test('what cannot be undone stays listed, exited, without the name, until a removal succeeds', async () => {
  rig.failAt('launcher.createContainer');
  rig.failAt('cgroups.remove');
  await expect(rig.container(pod)).rejects.toThrow('launcher.createContainer fails');
  const { containers } = await rig.call('ListContainers', { filter: null });
  expect(containers).toMatchObject([{ state: 'CONTAINER_EXITED' }]);
  await rig.container(pod);
  await rig.call('RemovePodSandbox', { pod_sandbox_id: pod });
  expect(await rig.left()).toEqual([]);
});

test('a client that gave up gets the container with its retry, and a different request is a conflict', async () => {
  const { reached, release } = rig.holdAt('launcher.createContainer');
  const controller = new AbortController();
  const first = rig.container(pod, undefined, controller.signal);
  await reached;
  controller.abort(new Error('client gone'));
  await expect(first).rejects.toThrow('client gone');
  expect((await rig.call('PodSandboxStatus', { pod_sandbox_id: pod })).containers_statuses).toEqual([]);
  await expect(rig.container(pod, containerConfig({ args: ['other'] }))).rejects.toMatchObject({ code: 'NAME_CONFLICT' });
  release();
  const id = await rig.container(pod);
  expect((await rig.call('ListContainers', { filter: null })).containers).toMatchObject([{ id }]);
});

test('a sandbox that is stopped while a container is made in it stays without it', async () => {
  const launch = rig.holdAt('launcher.createContainer');
  const creation = rig.container(pod);
  await launch.reached;
  const tearDown = rig.holdAt('network.tearDown');
  const stop = rig.call('StopPodSandbox', { pod_sandbox_id: pod });
  await tearDown.reached;
  // The stop has done its killing and is not over yet.
  await expect(rig.container(pod, containerConfig({ metadata: { name: 'late', attempt: 0 } }))).rejects.toMatchObject({ code: 'SANDBOX_NOT_READY' });
  launch.release();
  await expect(creation).rejects.toMatchObject({ code: 'SANDBOX_NOT_READY' });
  tearDown.release();
  await stop;
  await rig.call('RemovePodSandbox', { pod_sandbox_id: pod });
  expect(await rig.left()).toEqual([]);
});

test('a container whose set-up hangs ends with the stop of its pod', async () => {
  const launched = Promise.withResolvers<void>();
  rig.onLaunch = async (shim) => {
    await shim.listen('creating');
    launched.resolve();
  };
  const creation = rig.container(pod);
  await launched.promise;
  const [outcome] = await Promise.allSettled([creation, rig.call('StopPodSandbox', { pod_sandbox_id: pod })]);
  expect(outcome.status).toBe('rejected');
  await rig.call('RemovePodSandbox', { pod_sandbox_id: pod });
  expect(await rig.left()).toEqual([]);
});

test('a sandbox that is removed while a container is made in it takes that with it', async () => {
  const launch = rig.holdAt('launcher.createContainer');
  const creation = rig.container(pod);
  await launch.reached;
  const removal = rig.call('RemovePodSandbox', { pod_sandbox_id: pod });
  launch.release();
  await expect(creation).rejects.toThrow();
  await removal;
  expect(await rig.left()).toEqual([]);
});

test('refuses what it cannot do, before anything is changed', async () => {
  const cases: [Parameters<Rig['container']>[1], string][] = [
    [containerConfig({ image: { image: 'unknown', annotations: {}, user_specified_image: '', runtime_handler: '', image_ref: '' } }), 'IMAGE_NOT_FOUND'],
    [containerConfig({ linux: { resources: null, security_context: security({ privileged: true }) } }), 'INVALID_FIELD'],
    [containerConfig({ working_dir: 'relative' }), 'INVALID_FIELD'],
    [containerConfig({ linux: { resources: null, security_context: security({ namespace_options: namespaces({ pid: 'TARGET', target_id: 'ab' }) }) } }), 'INVALID_FIELD'],
  ];
  for (const [config, code] of cases) await expect(rig.container(pod, config)).rejects.toMatchObject({ code });
  await expect(rig.container('f'.repeat(64))).rejects.toMatchObject({ code: 'SANDBOX_NOT_FOUND' });
  expect(await rig.left()).toEqual(before);
});

test('the first container that shares PIDs brings the reaper, and a failure of that leaves no trace of it', async () => {
  const shared = containerConfig({ linux: { resources: null, security_context: security({ namespace_options: namespaces() }) } });
  rig.failAt('launcher.createSandbox');
  await expect(rig.container(pod, shared)).rejects.toThrow('launcher.createSandbox fails');
  expect(await rig.left()).toEqual(before);
  const id = await rig.container(pod, shared);
  expect(rig.cgroupDirectories.has(`/cgroup/berth/${pod}/berth-reaper`)).toBe(true);
  const bundle = await readFile(join(rig.directory, 'state/shims', id, 'config.json'), 'utf8');
  expect(bundle).toContain(JSON.stringify({ type: 'pid', path: join(rig.directory, 'state/ns', pod, 'pid') }));
  await rig.call('RemovePodSandbox', { pod_sandbox_id: pod });
  expect(await rig.left()).toEqual([]);
});

test('in a privileged pod a privileged container is made', async () => {
  const linux = podLinux({ security_context: podSecurity({ privileged: true }) });
  const trusted = await rig.pod(podConfig({ metadata: { name: 'trusted', namespace: 'n', uid: 'u', attempt: 0 }, linux }));
  const id = await rig.container(trusted, containerConfig({ linux: { resources: null, security_context: security({ privileged: true }) } }));
  expect(await statusOf(id)).toMatchObject({ state: 'CONTAINER_CREATED' });
});

test('starts only what is created, in a pod that is ready', async () => {
  const id = await rig.running(pod);
  await expect(rig.call('StartContainer', { container_id: id })).rejects.toMatchObject({ code: 'CONTAINER_WRONG_STATE' });
  await expect(rig.call('StartContainer', { container_id: 'f'.repeat(64) })).rejects.toMatchObject({ code: 'CONTAINER_NOT_FOUND' });
  const other = await rig.container(pod, containerConfig({ metadata: { name: 'other', attempt: 0 } }));
  await rig.call('StopPodSandbox', { pod_sandbox_id: pod });
  await expect(rig.call('StartContainer', { container_id: other })).rejects.toMatchObject({ code: 'CONTAINER_WRONG_STATE' });
});

test('a program that cannot be executed is an error of the start, and the container has exited with it', async () => {
  const id = await rig.container(pod);
  rig.shim(id).startError = { step: 'exec', path: '/entry', errno: 8, errnoName: 'ENOEXEC', message: 'not a program' };
  await expect(rig.call('StartContainer', { container_id: id })).rejects.toMatchObject({ code: 'CONTAINER_SETUP_REJECTED' });
  await expect.poll(() => statusOf(id)).toMatchObject({ state: 'CONTAINER_EXITED', exit_code: 127, reason: 'StartError', message: 'not a program', started_at: '0' });
});

test('a start that nobody waits for is recorded all the same', async () => {
  const id = await rig.container(pod);
  await rig.shim(id).change('started', { state: 'running', startedAt: '1234' });
  await expect.poll(() => statusOf(id)).toMatchObject({ state: 'CONTAINER_RUNNING', started_at: '1234' });
});

test('exec and log reopening go to the shim of a running container alone', async () => {
  const id = await rig.container(pod);
  const exec = (changes = {}) => rig.call('ExecSync', { container_id: id, cmd: ['echo', 'hi'], timeout: '0', ...changes });
  await expect(exec()).rejects.toMatchObject({ code: 'CONTAINER_WRONG_STATE' });
  await expect(rig.call('ReopenContainerLog', { container_id: id })).rejects.toMatchObject({ code: 'CONTAINER_WRONG_STATE' });
  await rig.call('StartContainer', { container_id: id });
  expect(await exec()).toEqual({ stdout: Buffer.from('echo hi'), stderr: Buffer.alloc(0), exit_code: 0 });
  await rig.call('ReopenContainerLog', { container_id: id });
  expect(rig.shim(id).requests.at(-1)?.type).toBe(messageType.REOPEN_LOG);
  await expect(exec({ cmd: [] })).rejects.toMatchObject({ code: 'INVALID_FIELD' });
  await expect(exec({ cmd: ['x'.repeat(1 << 20)] })).rejects.toMatchObject({ code: 'INVALID_FIELD' });
  await expect(exec({ timeout: '-1' })).rejects.toMatchObject({ code: 'INVALID_FIELD' });
  rig.shim(id).onExec = () => undefined;
  await expect(exec({ timeout: '1' })).rejects.toMatchObject({ code: 'DEADLINE' });
});
