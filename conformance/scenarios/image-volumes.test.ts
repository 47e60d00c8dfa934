import { describe, expect, test } from 'vitest';
import { busybox, busyboxLayer } from '../harness/images.ts';
import { buildImage, buildLayer } from '../harness/oci-image.ts';
import type { BuiltImage } from '../harness/oci-image.ts';
import { dir, file, hardlink, opaque, symlink, whiteout } from '../harness/root-fs.ts';
import { expectCode, useStage } from '../harness/stage.ts';

/** What a model or a set of web pages is: files without a program, in layers that change each other. */
const data = (): BuiltImage => {
  const bottom = buildLayer([
    dir('site'), file('site/index', 'old\n'), file('site/removed', 'x'), dir('hidden'), file('hidden/old', 'x'), symlink('out', '/etc'),
    symlink('inside', 'site'),
  ]);
  return buildImage([bottom, buildLayer([file('site/index', 'new\n'), whiteout('site/removed'), dir('hidden'), opaque('hidden')])]);
};

const single = (): BuiltImage => buildImage([buildLayer([file('only', 'one layer\n'), file('tool', '#!/bin/sh\necho ran\n', { mode: 0o755 })])]);

/** A VOLUME with content of several owners, one that the image does not have, and one with a relative name. */
const withVolumes = (): BuiltImage =>
  buildImage(
    [
      busyboxLayer(),
      buildLayer([
        dir('data', { mode: 0o2750, uid: 1000, gid: 2000 }),
        file('data/kept', 'from the image\n', { mode: 0o640, uid: 1001, gid: 2001, mtime: 1_000_000_000 }),
        dir('data/sub', { mode: 0o700, uid: 1002 }),
        file('data/sub/tool', 'x', { mode: 0o4755 }),
        hardlink('data/again', 'data/kept'),
        symlink('data/link', 'kept'),
      ]),
    ],
    { Cmd: ['sh'], Volumes: { '/data': {}, '/made/here': {}, 'relative/': {} } },
  );

const stage = useStage({ images: { busybox, data, single, 'with-volumes': withVolumes } });

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
    for (const sub of ['not-there', 'site/removed', 'out/passwd', 'out']) {
      const create = kubelet.create(pod, { name: 'wrong', image: stage.ref('busybox'), mounts: [imageMount(stage.ref('data'), '/site', sub)] });
      await expectCode(create, 'INVALID_ARGUMENT', new RegExp(sub));
    }
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
    await kubelet.removePod(pod);
    await stage.pull(stage.ref('single'));
  });
});

describe('the volumes of an image', () => {
  test('hold what the image has at their place, with owners, modes, times and links', async () => {
    const { kubelet } = stage;
    const pod = await kubelet.runPod();
    const id = await kubelet.run(pod, { image: stage.ref('with-volumes'), command: ['sleep', '1000'] });
    const stats = await kubelet.exec(id, 'stat', '-c', '%n %a %u:%g %h', '/data', '/data/kept', '/data/again', '/data/sub', '/data/sub/tool', '/made/here', '/relative');
    expect(stats.stdout.trim().split('\n')).toEqual([
      '/data 2750 1000:2000 3', '/data/kept 640 1001:2001 2', '/data/again 640 1001:2001 2', '/data/sub 700 1002:0 2', '/data/sub/tool 4755 0:0 1',
      '/made/here 755 0:0 2', '/relative 755 0:0 2',
    ]);
    expect((await kubelet.exec(id, 'sh', '-c', 'readlink /data/link; cat /data/link; stat -c %Y /data/kept')).stdout).toBe('kept\nfrom the image\n1000000000\n');
    const mounts = (await kubelet.exec(id, 'cat', '/proc/mounts')).stdout;
    for (const place of ['/data', '/made/here', '/relative']) expect(mounts).toContain(` ${place} `);
    await kubelet.removePod(pod);
  });

  test('can be written although the root is read-only, and are each container\'s own', async () => {
    const { kubelet } = stage;
    const pod = await kubelet.runPod();
    const options = { image: stage.ref('with-volumes'), command: ['sleep', '1000'], linux: { security_context: { readonly_rootfs: true } } };
    const [one, two] = [await kubelet.run(pod, { ...options, name: 'one' }), await kubelet.run(pod, { ...options, name: 'two' })];
    expect((await kubelet.exec(one, 'sh', '-c', 'echo changed > /data/kept; touch /made/here/new')).exitCode).toBe(0);
    expect((await kubelet.exec(one, 'touch', '/elsewhere')).exitCode).not.toBe(0);
    expect((await kubelet.exec(two, 'sh', '-c', 'cat /data/kept; ls /made/here')).stdout).toBe('from the image\n');
    await kubelet.removePod(pod);
  });

  test('give way to a mount of the pod at the same place', async () => {
    const { kubelet } = stage;
    const pod = await kubelet.runPod();
    const host = await stage.directory('mounted');
    const id = await kubelet.run(pod, { image: stage.ref('with-volumes'), command: ['sleep', '1000'], mounts: [{ container_path: '/data', host_path: host }] });
    expect((await kubelet.exec(id, 'ls', '/data')).stdout).toBe('');
    await kubelet.removePod(pod);
  });
});
