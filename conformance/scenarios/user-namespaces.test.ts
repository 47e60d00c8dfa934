import { lstat, readFile, readlink, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { busybox } from '../harness/images.ts';
import type { ContainerOptions, Pod, PodOptions } from '../harness/kubelet.ts';
import { expectCode, useStage } from '../harness/stage.ts';

const stage = useStage({ images: { busybox } });

const first = 200_000;
const mapping = [{ container_id: 0, host_id: first, length: 65_536 }];
const userns_options = { mode: 'POD' as const, uids: mapping, gids: mapping };
type Namespaces = NonNullable<NonNullable<NonNullable<PodOptions['linux']>['security_context']>['namespace_options']>;

const options = (namespaces: Partial<Namespaces> = {}) => ({ linux: { security_context: { namespace_options: { userns_options, ...namespaces } } } });

interface Running {
  readonly pod: Pod;
  readonly id: string;
  readonly sh: (script: string) => Promise<string>;
}

async function start(pod: Pod, container: Omit<ContainerOptions, 'image'> = {}): Promise<Running> {
  const { kubelet } = stage;
  const id = await kubelet.run(pod, { image: stage.ref('busybox'), command: ['sleep', '1000'], ...container });
  return { pod, id, sh: async (script) => (await kubelet.exec(id, 'sh', '-c', `{ ${script}; } 2>&1`)).stdout };
}

const running = async (namespaces: Partial<Namespaces> = {}, container: Omit<ContainerOptions, 'image'> = {}): Promise<Running> =>
  start(await stage.kubelet.runPod(options(namespaces)), { ...options(namespaces), ...container });

test('root of a pod with a user namespace is somebody else on the node, and owns what a root owns', async () => {
  const { pod, id, sh } = await running();
  expect((await sh('cat /proc/self/uid_map /proc/self/gid_map')).trim().split(/\s+/).map(Number)).toEqual([0, first, 65_536, 0, first, 65_536]);
  const pid = await stage.kubelet.pidOf(id);
  expect(await readFile(`/proc/${pid}/status`, 'utf8')).toContain(`Uid:\t${first}\t${first}\t${first}\t${first}\n`);
  expect(await sh('stat -c "%n %u:%g" / /bin/sh /etc/hosts /etc/hostname /etc/resolv.conf /dev /dev/null /dev/shm /dev/pts')).toBe(
    ['/', '/bin/sh', '/etc/hosts', '/etc/hostname', '/etc/resolv.conf', '/dev', '/dev/null', '/dev/shm', '/dev/pts'].map((name) => `${name} 0:0\n`).join(''),
  );
  expect(await sh('echo 10.0.0.1 other >> /etc/hosts && echo x > /dev/shm/note && touch /made && chown 7:8 /made && stat -c %u:%g /made')).toBe('7:8\n');
  await stage.kubelet.removePod(pod);
});

test('every namespace of the pod belongs to its user namespace, and an exec is in all of them', async () => {
  const { pod, id, sh } = await running();
  const pid = await stage.kubelet.pidOf(id);
  for (const kind of ['user', 'mnt', 'pid', 'net', 'ipc', 'uts', 'cgroup']) {
    expect(await readlink(`/proc/${pid}/ns/${kind}`)).not.toBe(await readlink(`/proc/self/ns/${kind}`));
    expect((await sh(`readlink /proc/self/ns/${kind}`)).trim()).toBe(await readlink(`/proc/${pid}/ns/${kind}`));
  }
  await stage.kubelet.removePod(pod);
});

test('a capability is worth something inside and nothing outside', async () => {
  const add = { capabilities: { add_capabilities: ['SYS_ADMIN', 'NET_ADMIN'] }, namespace_options: { userns_options } };
  const { pod, sh } = await running({}, { linux: { security_context: { ...add, masked_paths: ['/proc/kcore'], seccomp: { profile_type: 'Unconfined' } } } });
  expect(await sh('mkdir /mnt; mount -t tmpfs none /mnt && echo mounted; ip link set lo mtu 1400 && echo network')).toBe('mounted\nnetwork\n');
  expect(await sh('umount /proc/kcore; mknod /node c 1 3; hostname inside && hostname')).toMatch(/umount.*\n.*mknod.*not permitted\ninside\n/);
  await stage.kubelet.removePod(pod);
});

test('the default seccomp profile and no_new_privs hold in a user namespace, also for an exec', async () => {
  const { pod, sh } = await running({}, { linux: { security_context: { no_new_privs: true, seccomp: { profile_type: 'RuntimeDefault' }, namespace_options: { userns_options } } } });
  const confined = 'NoNewPrivs:\t1\nSeccomp:\t2\n';
  expect(await sh('grep -hE "^(NoNewPrivs|Seccomp):" /proc/1/status /proc/self/status')).toBe(confined + confined);
  expect(await sh('unshare -m true')).toMatch(/not permitted/);
  await stage.kubelet.removePod(pod);
});

test('what is logged and what users own is theirs, also for another user than root', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod(options());
  const { lines } = await kubelet.runToEnd(pod, {
    image: stage.ref('busybox'),
    command: ['sh', '-c', 'id -u; echo through > /proc/self/fd/1'],
    linux: { security_context: { run_as_user: { value: '1000' }, namespace_options: { userns_options } } },
  });
  expect(lines.map(({ text }) => text)).toEqual(['1000', 'through']);
  await kubelet.removePod(pod);
});

test('volumes are mapped as the kubelet says, and nothing of them changes on the node', async () => {
  const directory = await stage.directory('volume');
  await writeFile(path.join(directory, 'file'), 'from the node\n');
  const mapped = { container_path: '/mapped', host_path: directory, uidMappings: mapping, gidMappings: mapping };
  const { pod, sh } = await running({}, { mounts: [mapped, { container_path: '/plain', host_path: directory }] });
  expect(await sh('stat -c %u:%g /mapped/file /plain/file; echo more >> /mapped/file; touch /mapped/new; touch /plain/new2')).toMatch(/^0:0\n65534:65534\ntouch: .*denied\n$/);
  expect(await readFile(path.join(directory, 'file'), 'utf8')).toBe('from the node\nmore\n');
  expect((await stat(path.join(directory, 'new'))).uid).toBe(0);
  await stage.kubelet.removePod(pod);
});

test('layers stay as they are and the writable layer holds the ids of the node', async () => {
  const { pod, id, sh } = await running();
  await sh('touch /mine');
  const upper = path.join(stage.daemon.root, 'containers', id, 'upper');
  expect(await lstat(path.join(upper, 'mine'))).toMatchObject({ uid: first, gid: first });
  await stage.kubelet.removePod(pod);
  const plain = await start(await stage.kubelet.runPod());
  expect(await plain.sh('stat -c %u:%g /bin/sh')).toBe('0:0\n');
  await stage.kubelet.removePod(plain.pod);
});

test('a shared PID namespace, its reaper and all containers are in the user namespace', async () => {
  const { pod, id, sh } = await running({ pid: 'POD' });
  const two = await start(pod, { name: 'two', ...options({ pid: 'POD' }) });
  expect(await two.sh('ps -o args')).toContain('sleep 1000');
  expect(await sh('grep Uid /proc/1/status')).toBe('Uid:\t0\t0\t0\t0\n');
  const user = await readlink(`/proc/${await stage.kubelet.pidOf(id)}/ns/user`);
  expect(await readlink(`/proc/${await stage.kubelet.pidOf(two.id)}/ns/user`)).toBe(user);
  await stage.kubelet.removePod(pod);
});

test('the network, PIDs and IPC of the node go with a user namespace', async () => {
  const { pod, sh } = await running({ network: 'NODE', pid: 'NODE', ipc: 'NODE' });
  expect((await sh('readlink /proc/self/ns/net')).trim()).toBe(await readlink('/proc/self/ns/net'));
  expect((await sh('readlink /proc/self/ns/ipc')).trim()).toBe(await readlink('/proc/self/ns/ipc'));
  expect(await sh('ls /sys/class/net | grep -c lo; hostname x')).toMatch(/^1\nhostname: .*permitted\n$/);
  await stage.kubelet.removePod(pod);
});

test('wrong maps are refused by their names, and nothing is left', async () => {
  const { kubelet } = stage;
  const attempt = (userns: object) => kubelet.runPod({ linux: { security_context: { namespace_options: { userns_options: { ...userns_options, ...userns } } } } });
  const range = (change: object) => [{ ...mapping[0], ...change }];
  await expectCode(attempt({ uids: [] }), 'INVALID_ARGUMENT', /userns_options\.uids: /);
  await expectCode(attempt({ uids: [...mapping, ...range({ container_id: 65_536, host_id: 1 })] }), 'INVALID_ARGUMENT', /userns_options\.uids: /);
  await expectCode(attempt({ uids: range({ container_id: 1 }) }), 'INVALID_ARGUMENT', /uids\[0\]\.container_id: /);
  await expectCode(attempt({ gids: range({ length: 0 }) }), 'INVALID_ARGUMENT', /gids\[0\]\.length: /);
  await expectCode(attempt({ gids: range({ host_id: 1 }) }), 'INVALID_ARGUMENT', /userns_options\.gids: /);
  await expectCode(attempt({ mode: 'CONTAINER' }), 'INVALID_ARGUMENT', /userns_options\.mode: /);
  const pod = await kubelet.runPod(options());
  const other = { linux: { security_context: { namespace_options: { userns_options: { ...userns_options, mode: 'NODE' as const, uids: [], gids: [] } } } } };
  await expectCode(kubelet.create(pod, { image: stage.ref('busybox'), ...other }), 'INVALID_ARGUMENT', /userns_options: differs/);
  await kubelet.removeAll();
});

test('a pod with a user namespace lives through a restart of berthd and leaves nothing', async () => {
  const { pod, id } = await running();
  await stage.daemon.kill();
  await stage.daemon.start();
  stage.reconnect();
  expect((await stage.kubelet.exec(id, 'id', '-u')).stdout).toBe('0\n');
  await stage.kubelet.removePod(pod);
});

test('Status says that user namespaces work here', async () => {
  const { runtime_handlers, features } = await stage.cri.call('Status', {});
  expect(runtime_handlers.every((handler) => handler.features?.user_namespaces === true && handler.features.recursive_read_only_mounts)).toBe(true);
  expect(features).toMatchObject({ user_namespaces_host_network: true, mount_options: true });
});

test('a device of the node is in a user namespace what it is to anybody', async () => {
  const { pod, sh } = await running({}, { devices: [{ container_path: '/dev/mine', host_path: '/dev/kmsg', permissions: 'rw' }] });
  expect(await sh('stat -c %u:%g /dev/mine')).toBe('65534:65534\n');
  await stage.kubelet.removePod(pod);
});
