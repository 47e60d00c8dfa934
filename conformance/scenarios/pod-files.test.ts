import { expect, test } from 'vitest';
import { readFile, writeFile } from 'node:fs/promises';
import { busybox } from '../harness/images.ts';
import type { PodOptions } from '../harness/kubelet.ts';
import { useStage } from '../harness/stage.ts';
import { WORLD_HOSTNAME } from '../harness/world.ts';

const stage = useStage({ images: { busybox } });

/** Runs a pod, reads files of a container in it, removes it. */
async function read(options: PodOptions, ...files: string[]): Promise<{ texts: string[] }> {
  const { kubelet } = stage;
  const pod = await kubelet.runPod(options);
  // The container's namespace options are the pod's, as a kubelet sends them.
  const linux = options.linux ?? {};
  const id = await kubelet.run(pod, { image: stage.ref('busybox'), command: ['sleep', '1000'], linux: { security_context: { namespace_options: linux.security_context?.namespace_options ?? {} } } });
  const texts: string[] = [];
  for (const file of files) texts.push((await kubelet.exec(id, 'cat', file)).stdout);
  await kubelet.removePod(pod);
  return { texts };
}

test('the pod has its own host name', async () => {
  const { texts } = await read({ hostname: 'my-host' }, '/etc/hostname', '/proc/sys/kernel/hostname');
  expect(texts).toEqual(['my-host\n', 'my-host\n']);
});

test('the pod starts with the node\'s hosts', async () => {
  const { texts } = await read({}, '/etc/hosts');
  expect(texts[0]).toBe(await readFile('/etc/hosts', 'utf8'));
});

test('DNS settings of the request become resolv.conf', async () => {
  const dns_config = { servers: ['10.96.0.10', 'fd00::10'], searches: ['a.example', 'b.example'], options: ['ndots:5', 'edns0'] };
  const { texts } = await read({ dns_config }, '/etc/resolv.conf');
  expect((texts[0] ?? '').trim().split('\n').sort()).toEqual([
    'nameserver 10.96.0.10',
    'nameserver fd00::10',
    'options ndots:5 edns0',
    'search a.example b.example',
  ]);
});

test('without DNS settings the pod has the node\'s resolv.conf', async () => {
  const { texts } = await read({}, '/etc/resolv.conf');
  expect(texts[0]).toBe(await readFile('/etc/resolv.conf', 'utf8').catch(() => ''));
});

test('the files are shared by the pod\'s containers and survive one of them', async () => {
  const { cri, kubelet } = stage;
  const pod = await kubelet.runPod();
  const image = stage.ref('busybox');
  const one = await kubelet.run(pod, { name: 'one', image, command: ['sleep', '1000'] });
  expect((await kubelet.exec(one, 'sh', '-c', 'echo "10.0.0.1 added" >> /etc/hosts')).exitCode).toBe(0);
  await cri.call('StopContainer', { container_id: one, timeout: 0 });
  await cri.call('RemoveContainer', { container_id: one });
  const two = await kubelet.run(pod, { name: 'two', image, command: ['sleep', '1000'] });
  expect((await kubelet.exec(two, 'cat', '/etc/hosts')).stdout).toContain('10.0.0.1 added\n');
  await kubelet.removePod(pod);
});

test('with a read-only root the files are read-only too', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const id = await kubelet.run(pod, {
    image: stage.ref('busybox'),
    command: ['sleep', '1000'],
    linux: { security_context: { readonly_rootfs: true } },
  });
  for (const file of ['/etc/hosts', '/etc/hostname', '/etc/resolv.conf', '/new-file']) {
    expect(await kubelet.exec(id, 'sh', '-c', `echo x >> ${file}`)).toMatchObject({ stderr: expect.stringContaining('Read-only file system'), exitCode: 1 });
  }
  await kubelet.removePod(pod);
});

test('a mount of the request takes the place of a file of the pod', async () => {
  const { kubelet } = stage;
  const directory = await stage.directory('managed');
  const hosts = `${directory}/hosts`;
  await writeFile(hosts, '127.0.0.1 managed\n');
  const pod = await kubelet.runPod();
  const id = await kubelet.run(pod, {
    image: stage.ref('busybox'),
    command: ['sleep', '1000'],
    mounts: [{ container_path: '/etc/hosts', host_path: hosts }],
  });
  expect((await kubelet.exec(id, 'cat', '/etc/hosts')).stdout).toBe('127.0.0.1 managed\n');
  await kubelet.removePod(pod);
});

test('a host-network pod without a host name has the node\'s', async () => {
  const options = { linux: { security_context: { namespace_options: { network: 'NODE' as const } } } };
  const { texts } = await read(options, '/etc/hostname', '/proc/sys/kernel/hostname');
  expect(texts).toEqual([`${WORLD_HOSTNAME}\n`, `${WORLD_HOSTNAME}\n`]);
});
