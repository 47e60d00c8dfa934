import { readlink, readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { busybox } from '../harness/images.ts';
import type { ContainerOptions, Pod, PodOptions } from '../harness/kubelet.ts';
import { expectCode, useStage } from '../harness/stage.ts';

const stage = useStage({ images: { busybox } });

type Namespaces = NonNullable<NonNullable<NonNullable<PodOptions['linux']>['security_context']>['namespace_options']>;
const options = (namespace_options: Partial<Namespaces>) => ({ linux: { security_context: { namespace_options } } });

async function start(pod: Pod, name: string, namespaces: Partial<Namespaces> = {}, more: Partial<ContainerOptions> = {}): Promise<string> {
  return stage.kubelet.run(pod, { name, image: stage.ref('busybox'), command: ['sleep', '1000'], ...options(namespaces), ...more });
}

const namespaceOf = async (id: string, kind: string): Promise<string> => readlink(`/proc/${await stage.kubelet.pidOf(id)}/ns/${kind}`);

test('the modes for network and IPC: the pod\'s own, or the node\'s', async () => {
  const { kubelet } = stage;
  for (const [network, ipc] of [['POD', 'POD'], ['NODE', 'POD'], ['POD', 'NODE'], ['NODE', 'NODE']] as const) {
    const pod = await kubelet.runPod(options({ network, ipc }));
    const one = await start(pod, 'one', { network, ipc });
    const two = await start(pod, 'two', { network: 'POD', ipc: 'POD' });
    for (const [kind, mode] of [['net', network], ['ipc', ipc]] as const) {
      expect(await namespaceOf(one, kind)).toBe(await namespaceOf(two, kind));
      expect((await namespaceOf(one, kind)) === (await readlink(`/proc/self/ns/${kind}`))).toBe(mode === 'NODE');
    }
    await kubelet.removePod(pod);
  }
});

test('a container cannot have more of the node than its pod', async () => {
  const pod = await stage.kubelet.runPod();
  for (const kind of ['network', 'ipc'] as const) {
    await expectCode(start(pod, 'x', { [kind]: 'NODE' }), 'INVALID_ARGUMENT', new RegExp(`namespace_options\\.${kind}: is NODE`));
    await expectCode(start(pod, 'x', { [kind]: 'CONTAINER' }), 'INVALID_ARGUMENT', new RegExp(`namespace_options\\.${kind}: CONTAINER is not a mode`));
  }
  await expectCode(start(pod, 'x', { target_id: 'abc' }), 'INVALID_ARGUMENT', /target_id: needs pid mode TARGET/);
  await stage.kubelet.removePod(pod);
});

test('the modes for PIDs: shared by the pod, the container\'s own, the node\'s', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod(options({ pid: 'POD' }));
  const [one, two, own, node] = [await start(pod, 'one', { pid: 'POD' }), await start(pod, 'two', { pid: 'POD' }), await start(pod, 'own', { pid: 'CONTAINER' }), await start(pod, 'node', { pid: 'NODE' })];
  expect(await namespaceOf(one, 'pid')).toBe(await namespaceOf(two, 'pid'));
  expect(await namespaceOf(own, 'pid')).not.toBe(await namespaceOf(one, 'pid'));
  expect(await namespaceOf(node, 'pid')).toBe(await readlink('/proc/self/ns/pid'));
  await kubelet.removePod(pod);
});

test('a container joins the PIDs of a running one of its pod, and ends with it', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const target = await start(pod, 'target');
  const debug = await start(pod, 'debug', { pid: 'TARGET', target_id: target });
  expect(await namespaceOf(debug, 'pid')).toBe(await namespaceOf(target, 'pid'));
  expect((await kubelet.exec(debug, 'cat', '/proc/1/cmdline')).stdout).toContain('sleep');
  await stage.cri.call('StopContainer', { container_id: target, timeout: 0 });
  expect((await kubelet.waitExited(debug)).exit_code).toBe(137);
  await expectCode(start(pod, 'late', { pid: 'TARGET', target_id: target }), 'FAILED_PRECONDITION', /target_id: container .* is not running/);
  await kubelet.removePod(pod);
});

test('a target must be a container of the same pod', async () => {
  const { kubelet } = stage;
  const [pod, other] = [await kubelet.runPod(), await kubelet.runPod()];
  const stranger = await start(other, 'stranger');
  await expectCode(start(pod, 'x', { pid: 'TARGET', target_id: stranger }), 'INVALID_ARGUMENT', /target_id: ".*" is not a container of this pod/);
  await expectCode(start(pod, 'x', { pid: 'TARGET' }), 'INVALID_ARGUMENT', /target_id: "" is not a container of this pod/);
  await kubelet.removePod(pod);
  await kubelet.removePod(other);
});

test('a shared PID namespace whose init was killed is made anew', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod(options({ pid: 'POD' }));
  const one = await start(pod, 'one', { pid: 'POD' });
  const cgroup = /^0::(.*)$/m.exec(await readFile(`/proc/${await kubelet.pidOf(one)}/cgroup`, 'utf8'))?.[1] ?? '';
  const parent = cgroup.slice(0, cgroup.lastIndexOf('/'));
  const reaper = Number((await readFile(`/sys/fs/cgroup/unified${parent}/berth-reaper/cgroup.procs`, 'utf8').catch(() => readFile(`/sys/fs/cgroup${parent}/berth-reaper/cgroup.procs`, 'utf8'))).trim());
  expect(reaper).toBeGreaterThan(1);
  process.kill(reaper, 'SIGKILL');
  expect((await kubelet.waitExited(one)).exit_code).toBe(137);
  const two = await start(pod, 'two', { pid: 'POD' });
  expect((await kubelet.exec(two, 'true')).exitCode).toBe(0);
  await kubelet.removePod(pod);
});

test('sysctls are set with dots and with slashes, and those that are not of a namespace of the pod are refused', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod({ linux: { sysctls: { 'kernel.shm_rmid_forced': '1', 'net/ipv4/ip_unprivileged_port_start': '80', 'kernel.msgmax': '9000', 'fs.mqueue.msg_max': '12' } } });
  const id = await start(pod, 'main');
  const { stdout } = await kubelet.exec(id, 'cat', '/proc/sys/kernel/shm_rmid_forced', '/proc/sys/net/ipv4/ip_unprivileged_port_start', '/proc/sys/kernel/msgmax', '/proc/sys/fs/mqueue/msg_max');
  expect(stdout).toBe('1\n80\n9000\n12\n');
  await kubelet.removePod(pod);
  for (const name of ['kernel.panic', 'vm.swappiness', 'kernel/panic', 'net/../kernel/panic']) {
    await expectCode(kubelet.runPod({ linux: { sysctls: { [name]: '1' } } }), 'INVALID_ARGUMENT', /config\.linux\.sysctls/);
  }
  await expectCode(kubelet.runPod({ linux: { sysctls: { 'net.ipv4.ip_forward': '1' }, ...options({ network: 'NODE' }).linux } }), 'INVALID_ARGUMENT', /config\.linux\.sysctls/);
  await kubelet.removeAll();
});
