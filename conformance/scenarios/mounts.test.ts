import { spawnSync } from 'node:child_process';
import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { busybox } from '../harness/images.ts';
import type { ContainerOptions, Pod } from '../harness/kubelet.ts';
import { expectCode, useStage } from '../harness/stage.ts';

const stage = useStage({ images: { busybox } });

type Mounts = NonNullable<ContainerOptions['mounts']>;

interface Running {
  readonly pod: Pod;
  readonly id: string;
  readonly sh: (script: string) => Promise<string>;
}

async function running(mounts: Mounts, options: Omit<ContainerOptions, 'image'> = {}): Promise<Running> {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const id = await kubelet.run(pod, { image: stage.ref('busybox'), command: ['sleep', '1000'], mounts, ...options });
  return { pod, id, sh: async (script) => (await kubelet.exec(id, 'sh', '-c', `{ ${script}; } 2>&1`)).stdout };
}

/** Mounts on the node, in the world of the test, which ends with it. */
function onNode(...args: string[]): void {
  const { status, stderr } = spawnSync('mount', args, { encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(status).toBe(0);
}

/** A directory that is a mount of its own, with this propagation, for as long as the work takes. */
async function withMount(propagation: string, work: (directory: string) => Promise<void>): Promise<void> {
  const directory = await stage.directory(`mount-${propagation}`);
  onNode('-t', 'tmpfs', 'volume', directory);
  onNode(`--make-${propagation}`, directory);
  try {
    await work(directory);
  } finally {
    spawnSync('umount', ['-R', directory]);
  }
}

test('a private mount sees nothing that is mounted later', () =>
  withMount('shared', async (directory) => {
    await mkdir(path.join(directory, 'sub'));
    const { pod, sh } = await running([{ container_path: '/v', host_path: directory }]);
    onNode('-t', 'tmpfs', 'later', path.join(directory, 'sub'));
    await writeFile(path.join(directory, 'sub/file'), '');
    expect(await sh('ls /v/sub')).toBe('');
    await stage.kubelet.removePod(pod);
  }));

test('host-to-container shows what the node mounts, and not the other way round', () =>
  withMount('shared', async (directory) => {
    await mkdir(path.join(directory, 'sub'));
    await mkdir(path.join(directory, 'back'));
    const privileges = { linux: { security_context: { capabilities: { add_capabilities: ['SYS_ADMIN'] }, seccomp: { profile_type: 'Unconfined' as const } } } };
    const { pod, sh } = await running([{ container_path: '/v', host_path: directory, propagation: 'PROPAGATION_HOST_TO_CONTAINER' }], privileges);
    onNode('-t', 'tmpfs', 'later', path.join(directory, 'sub'));
    await writeFile(path.join(directory, 'sub/file'), '');
    expect(await sh('ls /v/sub')).toBe('file\n');
    expect(await sh('mount -t tmpfs none /v/back && touch /v/back/inside && ls /v/back')).toBe('inside\n');
    expect(await readdir(path.join(directory, 'back'))).toEqual([]);
    await stage.kubelet.removePod(pod);
  }));

test('bidirectional propagation and following need a source that is shared, and say so', () =>
  withMount('private', async (directory) => {
    const { kubelet } = stage;
    const pod = await kubelet.runPod();
    for (const propagation of ['PROPAGATION_HOST_TO_CONTAINER', 'PROPAGATION_BIDIRECTIONAL'] as const) {
      const wanted = kubelet.create(pod, { image: stage.ref('busybox'), mounts: [{ container_path: '/v', host_path: directory, propagation }] });
      await expectCode(wanted, 'INVALID_ARGUMENT', new RegExp(`"${directory}" is on the mount "${directory}", which is not shared`));
    }
    await kubelet.removePod(pod);
  }));

test('read-only leaves what is mounted below writable, recursive read-only does not', () =>
  withMount('private', async (directory) => {
    await mkdir(path.join(directory, 'sub'));
    onNode('-t', 'tmpfs', 'below', path.join(directory, 'sub'));
    const { pod, sh } = await running([
      { container_path: '/ro', host_path: directory, readonly: true },
      { container_path: '/rro', host_path: directory, readonly: true, recursive_read_only: true },
    ]);
    expect(await sh('touch /ro/x; touch /ro/sub/x && echo written; touch /rro/x; touch /rro/sub/y')).toMatch(
      /^touch: \/ro\/x: Read-only.*\nwritten\ntouch: \/rro\/x: Read-only.*\ntouch: \/rro\/sub\/y: Read-only/,
    );
    await stage.kubelet.removePod(pod);
  }));

test('further mount options hold, and options that are none of a bind mount are refused by their place', async () => {
  const directory = await stage.directory('options');
  await writeFile(path.join(directory, 'tool'), '#!/bin/sh\necho ran\n', { mode: 0o755 });
  const { pod, sh } = await running([{ container_path: '/v', host_path: directory, mount_options: ['noexec', 'nosuid', 'nodev'] }]);
  expect(await sh('/v/tool')).toMatch(/Permission denied/);
  expect(await sh('grep " /v " /proc/mounts')).toMatch(/nosuid,nodev,noexec/);
  const wrong = stage.kubelet.create(pod, { name: 'wrong', image: stage.ref('busybox'), mounts: [{ container_path: '/v', host_path: directory, mount_options: ['noexec', 'size=1'] }] });
  await expectCode(wrong, 'INVALID_ARGUMENT', /config\.mounts\[0\]\.mount_options\[1\]: "size=1"/);
  await stage.kubelet.removePod(pod);
});

test('a source that is a symlink is followed on the node, a source that is missing is an error', async () => {
  const directory = await stage.directory('links');
  await mkdir(path.join(directory, 'real'));
  await writeFile(path.join(directory, 'real/file'), 'there\n');
  await symlink('real', path.join(directory, 'link'));
  const { pod, sh } = await running([{ container_path: '/v', host_path: path.join(directory, 'link') }]);
  expect(await sh('cat /v/file')).toBe('there\n');
  const missing = stage.kubelet.create(pod, { name: 'missing', image: stage.ref('busybox'), mounts: [{ container_path: '/v', host_path: path.join(directory, 'nothing') }] });
  await expectCode(missing, 'INVALID_ARGUMENT', /cannot open the source ".*\/nothing"/);
  await stage.kubelet.removePod(pod);
});

test('with a read-only root, what is the container\'s own can still be written', async () => {
  const directory = await stage.directory('own');
  const { pod, sh } = await running([{ container_path: '/data', host_path: directory }], { linux: { security_context: { readonly_rootfs: true } } });
  expect(await sh('touch /x; touch /etc/hosts; touch /dev/shm/x /dev/x /data/x && echo written')).toMatch(
    /^touch: \/x: Read-only.*\ntouch: \/etc\/hosts: Read-only.*\nwritten\n$/,
  );
  await stage.kubelet.removePod(pod);
});

test('masked and read-only paths are those of the request', async () => {
  const security_context = { masked_paths: ['/proc/version', '/sys/class'], readonly_paths: ['/proc/sys', '/tmp'] };
  const { pod, sh } = await running([], { linux: { security_context } });
  expect(await sh('cat /proc/version; ls /sys/class; touch /tmp/x; echo 1 > /proc/sys/net/ipv4/ip_forward')).toMatch(
    /^touch: \/tmp\/x: Read-only.*\n.*ip_forward: Read-only/,
  );
  await stage.kubelet.removePod(pod);
});
