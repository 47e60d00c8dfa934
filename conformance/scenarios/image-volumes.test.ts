import { existsSync, lstatSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { busybox, busyboxLayer } from '../harness/images.ts';
import { buildImage, buildLayer } from '../harness/oci-image.ts';
import type { BuiltImage } from '../harness/oci-image.ts';
import { BUSYBOX, dir, file, hardlink, opaque, symlink, whiteout } from '../harness/root-fs.ts';
import { expectCode, useStage } from '../harness/stage.ts';
import { eventually } from '../harness/wait.ts';

/** What a model or a set of web pages is: files without a program, in layers that change each other. */
const data = (): BuiltImage => {
  const bottom = buildLayer([
    dir('site'), file('site/index', 'old\n'), file('site/removed', 'x'), dir('hidden'), file('hidden/old', 'x'), symlink('out', '/etc'),
    symlink('inside', 'site'), symlink('up', '../../../../../../etc'), symlink('loop', 'loop'), symlink('host', '/proc/1/root'),
    file('own', 'x', { uid: 1000, gid: 2000, mode: 0o640 }),
  ]);
  return buildImage([bottom, buildLayer([file('site/index', 'new\n'), whiteout('site/removed'), dir('hidden'), opaque('hidden')])]);
};

const single = (): BuiltImage => buildImage([buildLayer([file('only', 'one layer\n'), file('tool', '#!/bin/sh\necho ran\n', { mode: 0o755 })])]);

/** VFS_CAP_REVISION_2 with the effective bit; CAP_CHOWN permitted (linux/capability.h). */
const chownCapability = Buffer.from('0100000201000000000000000000000000000000', 'hex');

/**
 * VOLUMEs: with content of several owners, one that the image does not have, with a relative name, one that leads
 * upwards, one that is a link to a directory and one that is a link to nothing.
 */
const withVolumes = (): BuiltImage =>
  buildImage(
    [
      busyboxLayer(),
      buildLayer([
        dir('data', { mode: 0o2750, uid: 1000, gid: 2000 }),
        file('data/kept', 'from the image\n', { mode: 0o640, uid: 1001, gid: 2001, mtime: 1_000_000_000 }),
        dir('data/sub', { mode: 0o700, uid: 1002 }),
        file('data/sub/tool', 'x', { mode: 0o4755 }),
        hardlink('data/again', 'data/kept', { mode: 0o640, uid: 1001, gid: 2001, mtime: 1_000_000_000 }),
        symlink('data/link', 'kept'),
        file('data/grep', readFileSync(BUSYBOX), { mode: 0o755, xattrs: { 'security.capability': chownCapability } }),
        dir('real', { uid: 1003 }),
        file('real/file', 'behind a link\n'),
        symlink('linked', 'real'),
        symlink('dangling', '/../to/nothing'),
      ]),
    ],
    { Cmd: ['sh'], Volumes: { '/data': {}, '/made/here': {}, 'relative/': {}, '/../../outside': {}, '/linked': {}, '/dangling': {} } },
  );

const nothing = (): BuiltImage => buildImage([]);

const stage = useStage({ images: { busybox, data, single, nothing, 'with-volumes': withVolumes } });

const hexOf = (diffId = ''): string => diffId.slice('sha256:'.length);

const usedBytes = async (): Promise<number> => Number((await stage.cri.call('ImageFsInfo', {})).image_filesystems[0]?.used_bytes?.value);

const first = 200_000;
const mapping = [{ container_id: 0, host_id: first, length: 65_536 }];
/** Of pods with a user namespace, and of their containers. */
const mapped = { namespace_options: { userns_options: { mode: 'POD' as const, uids: mapping, gids: mapping } } };

const imageMount = (image: string, path: string, sub = '') => ({ container_path: path, readonly: true, image: { image }, image_sub_path: sub });

describe('a mounted image', () => {
  test('shows all its layers as one, and nobody can write to it', async () => {
    const { kubelet } = stage;
    const pod = await kubelet.runPod();
    const id = await kubelet.run(pod, {
      image: stage.ref('busybox'), command: ['sleep', '1000'], mounts: [imageMount(stage.ref('data'), '/mnt/data'), imageMount(stage.ref('single'), '/mnt/one')],
    });
    expect((await kubelet.exec(id, 'sh', '-c', 'cd /mnt/data; cat site/index inside/index; ls site hidden')).stdout).toBe('new\nnew\nhidden:\n\nsite:\nindex\n');
    expect((await kubelet.exec(id, 'cat', '/mnt/one/only')).stdout).toBe('one layer\n');
    expect((await kubelet.exec(id, '/mnt/one/tool')).stdout).toBe('ran\n');
    for (const where of ['/mnt/data/new', '/mnt/one/only']) expect((await kubelet.exec(id, 'touch', where)).exitCode).not.toBe(0);
    await kubelet.removePod(pod);
  });

  test('is told in the status by its id, whatever it was asked for by', async () => {
    const { kubelet } = stage;
    const pod = await kubelet.runPod();
    const id = await kubelet.create(pod, { image: stage.ref('busybox'), command: ['sleep', '1000'], mounts: [imageMount(stage.ref('single'), '/one')] });
    const [mounted] = (await kubelet.status(id)).mounts;
    expect(mounted).toMatchObject({ container_path: '/one', readonly: true, image: { image: stage.ref('single'), image_ref: single().id } });
    await kubelet.removePod(pod);
  });

  test('can be a part: a directory or a file, found within the image alone', async () => {
    const { kubelet } = stage;
    const pod = await kubelet.runPod();
    const id = await kubelet.run(pod, {
      image: stage.ref('busybox'), command: ['sleep', '1000'],
      mounts: [imageMount(stage.ref('data'), '/site', 'inside'), imageMount(stage.ref('data'), '/page', 'site/index')],
    });
    expect((await kubelet.exec(id, 'sh', '-c', 'ls /site; cat /page')).stdout).toBe('index\nnew\n');
    for (const sub of ['not-there', 'site/removed', 'out/passwd', 'out', 'up/passwd', 'up', 'loop', 'host', 'host/etc', 'site/index/below', 'site/index/']) {
      const create = kubelet.create(pod, { name: 'wrong', image: stage.ref('busybox'), mounts: [imageMount(stage.ref('data'), '/site', sub)] });
      await expectCode(create, 'INVALID_ARGUMENT', new RegExp(`^ImageVolumeMountFailed: .*"${sub}"`));
    }
    for (const [place, sub] of [['/etc', 'site/index'], ['/etc/passwd', 'site']] as const) {
      const create = kubelet.create(pod, { name: 'wrong', image: stage.ref('busybox'), mounts: [imageMount(stage.ref('data'), place, sub)] });
      await expectCode(create, 'INVALID_ARGUMENT', new RegExp(`^ImageVolumeMountFailed: .*${place}`));
    }
    await kubelet.removePod(pod);
  });

  test('cannot be made writable from inside, by whatever capability', async () => {
    const { kubelet, daemon } = stage;
    const linux = { security_context: { privileged: true } };
    const pod = await kubelet.runPod({ linux });
    const id = await kubelet.run(pod, { image: stage.ref('busybox'), command: ['sleep', '1000'], linux, mounts: [imageMount(stage.ref('data'), '/data')] });
    await kubelet.exec(id, 'sh', '-c', 'mount -o remount,rw,bind /data; mount -o remount,rw /data');
    expect(await kubelet.exec(id, 'sh', '-c', 'echo changed > /data/site/index')).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('Read-only') as string });
    const [, top] = data().layers;
    expect(readFileSync(path.join(daemon.root, 'layers/sha256', hexOf(top?.diffId), 'fs/site/index'), 'utf8')).toBe('new\n');
    await kubelet.removePod(pod);
  });

  test('is refused where it could be written, or is not there', async () => {
    const { kubelet } = stage;
    const pod = await kubelet.runPod();
    const create = (mount: object) => kubelet.create(pod, { image: stage.ref('busybox'), mounts: [mount] });
    await expectCode(create({ ...imageMount(stage.ref('data'), '/x'), readonly: false }), 'INVALID_ARGUMENT', /readonly/);
    await expectCode(create({ ...imageMount(stage.ref('data'), '/x'), host_path: '/etc' }), 'INVALID_ARGUMENT', /host_path/);
    await expectCode(create(imageMount(stage.ref('data'), '/x', '../etc')), 'INVALID_ARGUMENT', /image_sub_path/);
    await expectCode(create(imageMount('localhost/nothing:latest', '/x')), 'NOT_FOUND', /^ImageVolumeMountFailed: /);
    await kubelet.removePod(pod);
  });

  test('stays while a container has it, also when it is removed and berthd is killed', async () => {
    const { kubelet, cri, daemon } = stage;
    const pod = await kubelet.runPod();
    const id = await kubelet.run(pod, { image: stage.ref('busybox'), command: ['sleep', '1000'], mounts: [imageMount(stage.ref('single'), '/one')] });
    await cri.call('RemoveImage', { image: { image: stage.ref('single') } });
    await daemon.kill();
    await daemon.start();
    stage.reconnect();
    expect((await kubelet.exec(id, 'cat', '/one/only')).stdout).toBe('one layer\n');
    const before = await usedBytes();
    await kubelet.removePod(pod);
    const layer = path.join(daemon.root, 'layers/sha256', hexOf(single().layers[0]?.diffId));
    await eventually('the layer goes with the container', async () => !existsSync(layer) || undefined);
    expect(await usedBytes()).toBeLessThan(before);
    await stage.pull(stage.ref('single'));
  });
});

test.each([['', {}], [' in a pod with a user namespace', mapped]])('a mounted image shows the owners that it has%s', async (_, security_context) => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod({ linux: { security_context } });
  const mounts = [
    imageMount(stage.ref('data'), '/mnt/data'), imageMount(stage.ref('single'), '/mnt/one'), imageMount(stage.ref('data'), '/mnt/sub', 'inside'), imageMount(stage.ref('data'), '/page', 'own'),
    imageMount(stage.ref('nothing'), '/mnt/nothing'),
  ];
  const id = await kubelet.run(pod, { image: stage.ref('busybox'), command: ['sleep', '1000'], linux: { security_context }, mounts });
  const places = ['/mnt/data', '/mnt/data/own', '/mnt/data/site/index', '/mnt/one', '/mnt/one/tool', '/mnt/sub/index', '/page'];
  expect((await kubelet.exec(id, 'stat', '-c', '%u:%g %a', ...places)).stdout.trim().split('\n')).toEqual([
    '0:0 755', '1000:2000 640', '0:0 644', '0:0 755', '0:0 755', '0:0 644', '1000:2000 640',
  ]);
  expect((await kubelet.exec(id, 'sh', '-c', 'cat /mnt/sub/index; /mnt/one/tool; touch /mnt/one/x /mnt/data/x /mnt/sub/x || :')).stdout).toBe('new\nran\n');
  expect((await kubelet.exec(id, 'sh', '-c', 'ls -A /mnt/nothing; for at in /mnt/one /mnt/data /mnt/sub /mnt/nothing; do touch $at/x && echo written; done')).stdout).toBe('');
  await kubelet.removePod(pod);
});

describe.each([['', {}, 0], [' in a pod with a user namespace', mapped, first]])('the volumes of an image%s', (_, security_context, root) => {
  const start = async () => {
    const { kubelet } = stage;
    const pod = await kubelet.runPod({ linux: { security_context } });
    return { pod, create: (options: object) => kubelet.run(pod, { image: stage.ref('with-volumes'), command: ['sleep', '1000'], linux: { security_context }, ...options }) };
  };

  test('hold what the image has at their place, with owners, modes, times and links', async () => {
    const { kubelet } = stage;
    const { pod, create } = await start();
    const id = await create({});
    const places = ['/data', '/data/kept', '/data/again', '/data/sub', '/data/sub/tool', '/made/here', '/relative', '/outside', '/real', '/real/file', '/to/nothing'];
    const stats = await kubelet.exec(id, 'stat', '-c', '%n %a %u:%g %h', ...places);
    expect(stats.stdout.trim().split('\n')).toEqual([
      '/data 2750 1000:2000 3', '/data/kept 640 1001:2001 2', '/data/again 640 1001:2001 2', '/data/sub 700 1002:0 2', '/data/sub/tool 4755 0:0 1',
      '/made/here 755 0:0 2', '/relative 755 0:0 2', '/outside 755 0:0 2', '/real 755 1003:0 2', '/real/file 644 0:0 1', '/to/nothing 755 0:0 2',
    ]);
    expect((await kubelet.exec(id, 'sh', '-c', 'readlink /data/link; cat /data/link; stat -c %Y /data/kept')).stdout).toBe('kept\nfrom the image\n1000000000\n');
    const mounts = (await kubelet.exec(id, 'cat', '/proc/mounts')).stdout;
    for (const place of ['/data', '/made/here', '/relative', '/outside', '/real', '/to/nothing']) expect(mounts).toContain(` ${place} `);
    expect(mounts).not.toContain(' /linked ');
    await kubelet.removePod(pod);
  });

  test('keep the capabilities of files', async () => {
    const { kubelet } = stage;
    const pod = await kubelet.runPod({ linux: { security_context } });
    const { lines } = await kubelet.runToEnd(pod, {
      image: stage.ref('with-volumes'), command: ['/data/grep', 'CapEff', '/proc/self/status'],
      linux: { security_context: { ...security_context, run_as_user: { value: '1000' }, run_as_group: { value: '2000' } } },
    });
    expect(lines.map(({ text }) => text)).toEqual(['CapEff:\t0000000000000001']);
    await kubelet.removePod(pod);
  });

  test('can be written although the root is read-only, and are each container\'s own', async () => {
    const { kubelet } = stage;
    const { pod, create } = await start();
    const options = { linux: { security_context: { ...security_context, readonly_rootfs: true } } };
    const [one, two] = [await create({ ...options, name: 'one' }), await create({ ...options, name: 'two' })];
    expect((await kubelet.exec(one, 'sh', '-c', 'echo changed > /data/kept; touch /made/here/new; chown 5:6 /made/here/new')).exitCode).toBe(0);
    expect((await kubelet.exec(one, 'touch', '/elsewhere')).exitCode).not.toBe(0);
    expect((await kubelet.exec(two, 'sh', '-c', 'cat /data/kept; ls /made/here')).stdout).toBe('from the image\n');
    const volumes = path.join(stage.daemon.root, 'containers', one, 'volumes');
    expect(lstatSync(path.join(volumes, '1/new'))).toMatchObject({ uid: root + 5, gid: root + 6 });
    expect(lstatSync(path.join(volumes, '0/kept'))).toMatchObject({ uid: root + 1001, gid: root + 2001 });
    await stage.cri.call('RemoveContainer', { container_id: one });
    expect(existsSync(volumes)).toBe(false);
    await kubelet.removePod(pod);
  });

  test('give way to a mount of the pod at the same place', async () => {
    const { kubelet } = stage;
    const { pod, create } = await start();
    const host = await stage.directory('mounted');
    const id = await create({ mounts: [{ container_path: '/data', host_path: host }] });
    expect((await kubelet.exec(id, 'ls', '/data')).stdout).toBe('');
    await kubelet.removePod(pod);
  });
});

test('what is in the volumes of an image counts as written by the container', async () => {
  const { kubelet, cri } = stage;
  const pod = await kubelet.runPod();
  const id = await kubelet.run(pod, { image: stage.ref('with-volumes'), command: ['sleep', '1000'] });
  expect((await kubelet.exec(id, 'dd', 'if=/dev/urandom', 'of=/made/here/file', 'bs=1M', 'count=5')).exitCode).toBe(0);
  const written = async (): Promise<number> => Number((await cri.call('ContainerStats', { container_id: id })).stats?.writable_layer?.used_bytes?.value);
  await eventually('the container has written 5 MiB', async () => (await written()) >= 5 * 1024 * 1024 || undefined, 60_000);
  const { container_filesystems: [all] } = await cri.call('ImageFsInfo', {});
  expect(Number(all?.used_bytes?.value)).toBeGreaterThanOrEqual(5 * 1024 * 1024);
  await kubelet.removePod(pod);
});
