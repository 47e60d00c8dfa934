import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { busybox } from '../harness/images.ts';
import type { ContainerOptions, Pod } from '../harness/kubelet.ts';
import { useStage } from '../harness/stage.ts';

const stage = useStage({ images: { busybox } });

async function running(options: Omit<ContainerOptions, 'image'> = {}): Promise<{ pod: Pod; sh: (script: string) => Promise<string> }> {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const id = await kubelet.run(pod, { image: stage.ref('busybox'), command: ['sleep', '1000'], ...options });
  return { pod, sh: async (script) => (await kubelet.exec(id, 'sh', '-c', `{ ${script}; } 2>&1`)).stdout };
}

test('a container has the usual devices and mounts, and no more', async () => {
  const { pod, sh } = await running();
  const devices = (await sh('ls /dev')).trim().split('\n');
  expect(devices).toEqual(expect.arrayContaining(['fd', 'full', 'mqueue', 'null', 'ptmx', 'pts', 'random', 'shm', 'stderr', 'stdin', 'stdout', 'tty', 'urandom', 'zero']));
  expect(devices.filter((name) => /^(kmsg|mem|sd|vd|loop|kvm|fuse)/.test(name))).toEqual([]);
  const mounts = new Map((await sh('cat /proc/mounts')).trim().split('\n').map((line) => [line.split(' ')[1], line.split(' ')] as const));
  expect(mounts.get('/')?.[2]).toBe('overlay');
  expect(mounts.get('/proc')?.[2]).toBe('proc');
  expect(mounts.get('/sys')?.[3]).toMatch(/^ro,/);
  expect(mounts.get('/dev/shm')?.[3]).toMatch(/nosuid,nodev,noexec/);
  expect(mounts.get('/dev/mqueue')?.[2]).toBe('mqueue');
  expect([...mounts.keys()].filter((at) => at === '/sys/fs/cgroup')).toHaveLength(1);
  await stage.kubelet.removePod(pod);
});

test('what the kernel tells about the node is masked or read-only', async () => {
  const { pod, sh } = await running({
    linux: { security_context: { masked_paths: ['/proc/kcore', '/proc/keys', '/sys/firmware'], readonly_paths: ['/proc/sys', '/proc/irq'] } },
  });
  expect(await sh('wc -c < /proc/keys')).toBe('0\n');
  expect(await sh('ls -A /sys/firmware | wc -l')).toBe('0\n');
  expect(await sh('echo x > /proc/sys/kernel/hostname')).toContain('Read-only file system');
  expect(await sh('grep " /proc/irq " /proc/mounts')).toMatch(/ ro,/);
  await stage.kubelet.removePod(pod);
});

test('capabilities are the default set, more or fewer as asked', async () => {
  const defaults = 'a80425fb';
  const bits = async (sh: (script: string) => Promise<string>): Promise<string> =>
    (await sh('grep CapEff /proc/self/status')).split(/\s+/)[1]?.replace(/^0+/, '') ?? '';
  const plain = await running();
  expect(await bits(plain.sh)).toBe(defaults);
  expect(await plain.sh('grep -E "Cap(Inh|Amb)" /proc/self/status | tr -s "\\t0" " "')).toBe('CapInh: \nCapAmb: \n');
  await stage.kubelet.removePod(plain.pod);

  const changed = await running({ linux: { security_context: { capabilities: { add_capabilities: ['NET_ADMIN'], drop_capabilities: ['CHOWN'] } } } });
  expect(await bits(changed.sh)).toBe('a80435fa');
  await stage.kubelet.removePod(changed.pod);

  const none = await running({ linux: { security_context: { capabilities: { drop_capabilities: ['ALL'] } } } });
  expect(await bits(none.sh)).toBe('');
  await stage.kubelet.removePod(none.pod);
});

test('no_new_privs is set when it is asked for', async () => {
  const set = await running({ linux: { security_context: { no_new_privs: true } } });
  expect(await set.sh('grep NoNewPrivs /proc/1/status')).toBe('NoNewPrivs:\t1\n');
  await stage.kubelet.removePod(set.pod);
});

test('no descriptor of Berth is open in a container or an exec', async () => {
  const { pod, sh } = await running();
  expect((await sh('ls /proc/1/fd | tr "\\n" " "'))).toBe('0 1 2 ');
  expect((await sh('ls -l /proc/self/fd')).split('\n').filter((line) => /memfd|berth|\.sock/.test(line))).toEqual([]);
  await stage.kubelet.removePod(pod);
});

test('host directories and files are mounted, writable or not, as asked', async () => {
  const directory = await stage.directory('shared');
  await mkdir(`${directory}/sub`, { recursive: true });
  await writeFile(`${directory}/file`, 'from the node\n');
  const { pod, sh } = await running({
    mounts: [
      { container_path: '/rw', host_path: directory },
      { container_path: '/ro', host_path: directory, readonly: true },
      { container_path: '/deep/made/file', host_path: `${directory}/file` },
    ],
  });
  expect(await sh('cat /rw/file /ro/file /deep/made/file')).toBe('from the node\n'.repeat(3));
  expect(await sh('echo from the container > /rw/sub/new; cat /ro/sub/new')).toBe('from the container\n');
  expect(await readFile(`${directory}/sub/new`, 'utf8')).toBe('from the container\n');
  expect(await sh('touch /ro/x')).toContain('Read-only file system');
  await stage.kubelet.removePod(pod);
});

test('what one container writes, another of the same image does not see', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const image = stage.ref('busybox');
  const one = await kubelet.run(pod, { name: 'one', image, command: ['sleep', '1000'] });
  const two = await kubelet.run(pod, { name: 'two', image, command: ['sleep', '1000'] });
  expect((await kubelet.exec(one, 'sh', '-c', 'rm /etc/passwd; echo mine > /new')).exitCode).toBe(0);
  expect((await kubelet.exec(two, 'sh', '-c', 'ls /etc/passwd; ls /new')).stdout).toBe('/etc/passwd\n');
  await kubelet.removePod(pod);
});

test('containers of a pod share memory and message queues through /dev/shm', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const image = stage.ref('busybox');
  const one = await kubelet.run(pod, { name: 'one', image, command: ['sleep', '1000'] });
  const two = await kubelet.run(pod, { name: 'two', image, command: ['sleep', '1000'] });
  await kubelet.exec(one, 'sh', '-c', 'echo shared > /dev/shm/note');
  expect((await kubelet.exec(two, 'cat', '/dev/shm/note')).stdout).toBe('shared\n');
  await kubelet.removePod(pod);
});

test('sysctls of the pod are set in it and not on the node', async () => {
  const { kubelet } = stage;
  const before = await readFile('/proc/sys/net/ipv4/ip_local_port_range', 'utf8');
  const pod = await kubelet.runPod({ linux: { sysctls: { 'net.ipv4.ip_local_port_range': '20000 20100', 'kernel.shm_rmid_forced': '1' } } });
  const id = await kubelet.run(pod, { image: stage.ref('busybox'), command: ['sleep', '1000'] });
  expect((await kubelet.exec(id, 'cat', '/proc/sys/net/ipv4/ip_local_port_range')).stdout).toBe('20000\t20100\n');
  expect((await kubelet.exec(id, 'cat', '/proc/sys/kernel/shm_rmid_forced')).stdout).toBe('1\n');
  expect(await readFile('/proc/sys/net/ipv4/ip_local_port_range', 'utf8')).toBe(before);
  await kubelet.removePod(pod);
});
