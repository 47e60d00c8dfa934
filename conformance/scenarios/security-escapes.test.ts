import { chmod, chown, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import path from 'node:path';
import { expect, test } from 'vitest';
import { busybox } from '../harness/images.ts';
import { expectCode, useStage } from '../harness/stage.ts';

const stage = useStage({ images: { busybox } });

const onNode = { network: 'NODE', pid: 'NODE', ipc: 'NODE' } as const;

/** The process of a container's shim: its parent. */
async function shimOf(containerId: string): Promise<number> {
  const status = await readFile(`/proc/${await stage.kubelet.pidOf(containerId)}/status`, 'utf8');
  return Number(/^PPid:\s+(\d+)$/m.exec(status)?.[1]);
}

/** Digest of what a container's shim runs. */
async function programOf(containerId: string): Promise<string> {
  return createHash('sha256').update(await readFile(`/proc/${await shimOf(containerId)}/exe`)).digest('hex');
}

test('a container that sees the node\'s processes cannot look into its shim, nor change its program', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod({ linux: { security_context: { namespace_options: onNode } } });
  const id = await kubelet.run(pod, { image: stage.ref('busybox'), command: ['sleep', '1000'], linux: { security_context: { namespace_options: onNode } } });
  const shim = await shimOf(id);
  expect(await readFile(`/proc/${shim}/comm`, 'utf8')).toContain('berth-shim');
  const digest = await programOf(id);
  const attempts = ['readlink /proc/SHIM/exe', 'cat /proc/SHIM/exe', ': >> /proc/SHIM/exe', 'readlink /proc/SHIM/fd/1', 'ls /proc/SHIM/root/', 'cat /proc/SHIM/environ', ': >> /proc/SHIM/mem'];
  for (const attempt of attempts) {
    const { exitCode, stdout, stderr } = await kubelet.exec(id, 'sh', '-c', attempt.replaceAll('SHIM', String(shim)));
    expect([attempt, exitCode === 0, stdout]).toEqual([attempt, false, '']);
    expect(stderr === '' ? 'denied' : stderr).toMatch(/denied|not permitted/);
  }
  expect(await programOf(id)).toBe(digest);
  await kubelet.removePod(pod);
});

test('a container that waits to be started is closed to its neighbour in a shared PID namespace', async () => {
  const { kubelet } = stage;
  const options = { pid: 'POD' } as const;
  const pod = await kubelet.runPod({ linux: { security_context: { namespace_options: options } } });
  const shared = { image: stage.ref('busybox'), linux: { security_context: { namespace_options: options } } };
  const neighbour = await kubelet.run(pod, { name: 'neighbour', command: ['sleep', '1000'], ...shared });
  await kubelet.create(pod, { name: 'waiting', command: ['sleep', '1000'], ...shared });
  const { stdout: found } = await kubelet.exec(neighbour, 'sh', '-c', 'grep -l "^berth-shim" /proc/[0-9]*/comm');
  const waiting = /^\/proc\/(\d+)\/comm$/m.exec(found)?.[1];
  // It has this user and these capabilities already: only that it is not dumpable keeps it closed.
  for (const attempt of ['readlink /proc/PID/exe', 'readlink /proc/PID/fd/0', 'cat /proc/PID/environ', 'cat /proc/PID/maps']) {
    const { exitCode, stdout } = await kubelet.exec(neighbour, 'sh', '-c', attempt.replaceAll('PID', waiting ?? 'none'));
    expect([attempt, exitCode === 0, stdout]).toEqual([attempt, false, '']);
  }
  expect(waiting).toBeDefined();
  await kubelet.removePod(pod);
});

test('a container whose program is /proc/self/exe gets a copy that it cannot change, and no way into the node', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const before = await programOf(await kubelet.run(pod, { name: 'before', image: stage.ref('busybox'), command: ['sleep', '1000'] }));
  const { status } = await kubelet.runToEnd(pod, { image: stage.ref('busybox'), command: ['/proc/self/exe', 'launcher'] });
  expect(status.exit_code).not.toBe(0);
  const after = await programOf(await kubelet.run(pod, { name: 'after', image: stage.ref('busybox'), command: ['sleep', '1000'] }));
  expect(after).toBe(before);
  await kubelet.removePod(pod);
});

test('no socket of Berth can be reached from a container in the node\'s network', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod({ linux: { security_context: { namespace_options: onNode } } });
  const id = await kubelet.run(pod, { image: stage.ref('busybox'), command: ['sleep', '1000'], linux: { security_context: { namespace_options: onNode } } });
  const sockets = (await kubelet.exec(id, 'cat', '/proc/net/unix')).stdout.split('\n').map((line) => line.trim().split(/\s+/)[7] ?? '');
  expect(sockets.some((name) => name.includes('berth.sock') || name.startsWith('/'))).toBe(true);
  // An abstract name would be there for all who share the network namespace, whatever root they have.
  expect(sockets.filter((name) => name.startsWith('@') && (name.includes('berth') || name.includes('shim') || name.includes(id)))).toEqual([]);
  for (const directory of ['shims', path.join('shims', id), 'ns']) {
    const { mode, uid } = await stat(path.join(stage.daemon.state, directory));
    expect([directory, mode & 0o077, uid]).toEqual([directory, 0, 0]);
  }
  await kubelet.removePod(pod);
});

test('a file that its group may not read stays closed to a member who changes groups', async () => {
  const { kubelet } = stage;
  const directory = await stage.directory('negative');
  await writeFile(path.join(directory, 'secret'), 'not for group 5000\n');
  await chown(path.join(directory, 'secret'), 0, 5000);
  await chmod(path.join(directory, 'secret'), 0o604);
  const pod = await kubelet.runPod();
  const id = await kubelet.run(pod, {
    image: stage.ref('busybox'),
    command: ['sleep', '1000'],
    mounts: [{ container_path: '/given', host_path: directory, readonly: true }],
    linux: { security_context: { run_as_user: { value: 1000 }, run_as_group: { value: 5000 }, supplemental_groups: [6000] } },
  });
  const groups = (await kubelet.exec(id, 'sh', '-c', 'grep Groups /proc/self/status')).stdout.split(/\s+/).filter((word) => /^\d+$/.test(word));
  // In the supplementary groups too: a set-group-id program replaces the primary one alone (CVE-2022-2995).
  expect(groups.map(Number).toSorted((a, b) => a - b)).toEqual(expect.arrayContaining([5000, 6000]));
  expect((await kubelet.exec(id, 'cat', '/given/secret')).stderr).toContain('Permission denied');
  await kubelet.removePod(pod);
});

test('a privileged container has it all: capabilities, a writable /sys and cgroup, nothing hidden; in a pod that allows it', async () => {
  const { kubelet } = stage;
  const plain = await kubelet.runPod();
  const privileged = { security_context: { privileged: true, masked_paths: ['/proc/kcore'], readonly_paths: ['/proc/sys'] } };
  await expectCode(kubelet.create(plain, { image: stage.ref('busybox'), command: ['true'], linux: privileged }), 'INVALID_ARGUMENT', /security_context\.privileged/);
  await kubelet.removePod(plain);
  const pod = await kubelet.runPod({ linux: { security_context: { privileged: true } } });
  const id = await kubelet.run(pod, { image: stage.ref('busybox'), command: ['sleep', '1000'], linux: privileged });
  const sh = async (script: string): Promise<string> => (await kubelet.exec(id, 'sh', '-c', script)).stdout;
  const own = /^CapBnd:\s+(\w+)$/m.exec(await readFile(`/proc/${stage.daemon.pid}/status`, 'utf8'))?.[1];
  expect(await sh('grep CapEff /proc/self/status')).toBe(`CapEff:\t${own}\n`);
  const mounts = (await sh('cat /proc/mounts')).split('\n').map((line) => line.split(' '));
  for (const place of ['/sys', '/sys/fs/cgroup']) expect([place, mounts.find((line) => line[1] === place)?.[3]?.startsWith('rw')]).toEqual([place, true]);
  expect(mounts.filter(([, at]) => at === '/proc/kcore' || at === '/proc/sys')).toEqual([]);
  const devices = (await readdir('/dev', { withFileTypes: true })).filter((entry) => entry.isBlockDevice() || entry.isCharacterDevice()).map(({ name }) => name);
  expect((await sh('ls /dev')).split('\n')).toEqual(expect.arrayContaining(devices.filter((name) => name !== 'console')));
  await kubelet.removePod(pod);
});

test('ambient capabilities reach a program of another user, and nothing else does', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const security = { run_as_user: { value: 1000 }, capabilities: { add_ambient_capabilities: ['CAP_NET_BIND_SERVICE'], drop_capabilities: ['ALL'] } };
  const id = await kubelet.run(pod, { image: stage.ref('busybox'), command: ['sleep', '1000'], linux: { security_context: security } });
  const kept = await kubelet.exec(id, 'sh', '-c', 'grep ^Cap /proc/1/status | cut -f 2 | sed "s/^0*//" | tr "\\n" " "');
  expect(kept.stdout).toMatch(/^(400 400 400 400 400 | {5})$/);
  await kubelet.removePod(pod);
});
