import { describe, expect, test } from 'vitest';
import type { Image__Output } from '../../src/cri-server/generated/runtime/v1/Image.ts';
import { attributes, busybox, busyboxLayer, commanded, compressed, docker, layered, multiPlatform, withUser } from '../harness/images.ts';
import { push } from '../harness/push.ts';
import { useStage } from '../harness/stage.ts';

const stage = useStage({
  images: {
    busybox,
    'team/busybox': busybox,
    docker,
    layered,
    attributes,
    commanded,
    'multi-platform': multiPlatform,
    gzip: () => compressed('gzip'),
    zstd: () => compressed('zstd'),
    uncompressed: () => compressed('none'),
    'user-uid': () => withUser('1002'),
    'user-name': () => withUser('alice:users'),
  },
  pulled: [],
  leaks: { images: true },
});

const status = async (image: string): Promise<Image__Output | null> => (await stage.cri.call('ImageStatus', { image: { image } })).image;
const list = async (): Promise<string[]> => (await stage.cri.call('ListImages', {})).images.map(({ id }) => id).sort();
const remove = async (...images: string[]): Promise<void> => {
  for (const image of images) await stage.cri.call('RemoveImage', { image: { image } });
};

/** Runs one container of the image to its end and gives what it printed. */
async function run(repository: string, ...command: string[]): Promise<string> {
  const { kubelet } = stage;
  await stage.pull(stage.ref(repository));
  const pod = await kubelet.runPod({ linux: { security_context: { namespace_options: { network: 'NODE' } } } });
  const { status: ended, lines } = await kubelet.runToEnd(pod, { image: stage.ref(repository), command });
  await kubelet.removePod(pod);
  await remove(stage.ref(repository));
  const text = lines.map((line) => line.text).join('\n');
  expect({ text, exitCode: ended.exit_code }).toEqual({ text, exitCode: 0 });
  return text;
}

describe('the list of images', () => {
  test('an image pulled by tag is known by tag, digest and id', async () => {
    const tag = stage.ref('busybox');
    const digest = `${stage.registry.host}/busybox@${busybox().manifest.digest}`;
    const imageRef = await stage.pull(tag);
    const image = await status(tag);
    expect(image).toMatchObject({ id: busybox().id, repo_tags: [tag], repo_digests: [digest], username: '', uid: null, pinned: false });
    expect(Number(image?.size)).toBeGreaterThanOrEqual(busyboxLayer().bytes.length);
    for (const name of [imageRef, digest, busybox().id]) expect((await status(name))?.id).toBe(busybox().id);
    expect(await list()).toEqual([busybox().id]);
    await remove(tag);
    expect(await list()).toEqual([]);
  });

  test('an image has one id in every answer, from the pull to its container', async () => {
    const { kubelet, cri } = stage;
    const { id } = busybox();
    const byDigest = `${stage.registry.host}/busybox@${busybox().manifest.digest}`;
    expect([await stage.pull(stage.ref('busybox')), await stage.pull(byDigest), await stage.pull(stage.ref('team/busybox'))]).toEqual([id, id, id]);
    expect((await cri.call('ListImages', { filter: { image: { image: byDigest } } })).images.map((image) => image.id)).toEqual([id]);
    const pod = await kubelet.runPod();
    for (const [index, image] of [id, byDigest, stage.ref('busybox')].entries()) {
      const container = await kubelet.create(pod, { name: `c${index}`, image, command: ['true'] });
      expect(await kubelet.status(container)).toMatchObject({ image_id: id, image_ref: byDigest });
      expect((await cri.call('ListContainers', { filter: { id: container } })).containers).toMatchObject([{ image_id: id, image_ref: id }]);
    }
    await kubelet.removePod(pod);
    await remove(id);
  });

  test('an image pulled by digest has no tag', async () => {
    const digest = `${stage.registry.host}/busybox@${busybox().manifest.digest}`;
    await stage.pull(digest);
    expect(await status(digest)).toMatchObject({ id: busybox().id, repo_tags: [], repo_digests: [digest] });
    expect(await status(stage.ref('busybox'))).toBeNull();
    await remove(digest);
  });

  test('one image under two names is one image, and goes under either', async () => {
    const [one, two] = [stage.ref('busybox'), stage.ref('team/busybox')];
    await stage.pull(one);
    await stage.pull(two);
    expect(await list()).toEqual([busybox().id]);
    expect((await status(one))?.repo_tags.toSorted()).toEqual([one, two].sort());
    // RemoveImage removes the image, whichever of its names is given: the CRI has no call that only takes a name away.
    await remove(one);
    expect(await status(two)).toBeNull();
    expect(await list()).toEqual([]);
  });

  test('removing by id takes every name', async () => {
    await stage.pull(stage.ref('busybox'));
    await stage.pull(stage.ref('team/busybox'));
    await remove(busybox().id);
    expect(await list()).toEqual([]);
  });

  test('what is not there has no status and no error, and can be removed again and again', async () => {
    expect(await status(stage.ref('never-pulled'))).toBeNull();
    await remove(stage.ref('never-pulled'), stage.ref('never-pulled'), `sha256:${'f'.repeat(64)}`);
  });

  test('the list can be filtered by name', async () => {
    await stage.pull(stage.ref('busybox'));
    await stage.pull(stage.ref('layered'));
    const filter = { image: { image: stage.ref('layered') } };
    expect((await stage.cri.call('ListImages', { filter })).images.map(({ id }) => id)).toEqual([layered().id]);
    await remove(stage.ref('busybox'), stage.ref('layered'));
  });

  test('an image tells the user it wants to run as', async () => {
    await stage.pull(stage.ref('user-uid'));
    await stage.pull(stage.ref('user-name'));
    expect(await status(stage.ref('user-uid'))).toMatchObject({ uid: { value: '1002' }, username: '' });
    expect(await status(stage.ref('user-name'))).toMatchObject({ uid: null, username: 'alice' });
    await remove(stage.ref('user-uid'), stage.ref('user-name'));
  });

  test('the verbose status shows the image config', async () => {
    await stage.pull(stage.ref('commanded'));
    const { info } = await stage.cri.call('ImageStatus', { image: { image: stage.ref('commanded') }, verbose: true });
    expect(JSON.stringify(Object.values(info).map((value) => JSON.parse(value) as unknown))).toContain('"org.example.berth":"conformance"');
    await remove(stage.ref('commanded'));
  });

  test('an image in use stays usable for its container until that is gone', async () => {
    const { kubelet } = stage;
    await stage.pull(stage.ref('busybox'));
    const pod = await kubelet.runPod();
    const id = await kubelet.run(pod, { image: stage.ref('busybox'), command: ['sleep', '1000'] });
    await stage.cri.call('RemoveImage', { image: { image: stage.ref('busybox') } }).catch(() => undefined);
    expect(await kubelet.exec(id, 'cat', '/etc/passwd')).toMatchObject({ exitCode: 0 });
    await kubelet.removePod(pod);
    await remove(stage.ref('busybox'));
  });
});

describe('pulling', () => {
  test('four pulls of one image at once are one image', async () => {
    const refs = await Promise.all([1, 2, 3, 4].map(() => stage.pull(stage.ref('layered'))));
    expect(new Set(refs).size).toBe(1);
    expect(await list()).toEqual([layered().id]);
    await remove(stage.ref('layered'));
  });

  test('images that share a layer are pulled at the same time', async () => {
    const names = ['busybox', 'docker', 'layered', 'attributes', 'commanded'];
    await Promise.all(names.map((name) => stage.pull(stage.ref(name))));
    // Docker's media types or OCI's: the config, and so the id, is the same.
    expect(await list()).toEqual([busybox().id, layered().id, attributes().id, commanded().id].sort());
    await Promise.all(names.map((name) => remove(stage.ref(name))));
  });

  test('a tag that has moved is pulled anew', async () => {
    await push(stage.registry, 'moving', 'latest', busybox());
    await stage.pull(stage.ref('moving'));
    await push(stage.registry, 'moving', 'latest', commanded());
    await stage.pull(stage.ref('moving'));
    expect((await status(stage.ref('moving')))?.id).toBe(commanded().id);
    expect((await status(busybox().id))?.repo_tags ?? []).toEqual([]);
    await remove(busybox().id, commanded().id);
  });

  test('of several platforms this machine\'s is taken', async () => {
    expect(await run('multi-platform', 'ls', '/amd64')).toBe('/amd64');
  });

  test.each(['gzip', 'zstd', 'uncompressed'])('%s layers are unpacked', async (repository) => {
    expect(await run(repository, 'cat', '/compression')).toBe(repository === 'uncompressed' ? 'none' : repository);
  });

  test('Docker\'s media types are understood', async () => {
    expect(await run('docker', 'echo', 'runs')).toBe('runs');
  });
});

describe('a container sees', () => {
  test('the layers as one tree, with everything gone that an upper layer took away', async () => {
    const script = 'cd /data; for f in kept removed replaced to-file emptied/new top/file link; do echo "$f: $(cat $f)"; done; ls emptied; ls -d gone emptied/old 2>&1';
    expect((await run('layered', 'sh', '-c', `${script}; true`)).split('\n')).toEqual([
      'kept: base',
      'removed: back again',
      'replaced: middle',
      'to-file: a file now',
      'emptied/new: middle',
      'top/file: top',
      'link: base',
      'new',
      'ls: gone: No such file or directory',
      'ls: emptied/old: No such file or directory',
    ]);
  });

  test('ownership, modes, times, links, devices and long names as the layer has them', async () => {
    const long = 'long-name-'.repeat(15);
    const script = `cd /attr; stat -c '%n %a %u:%g %F' . setuid setgid owned dangling pipe null; stat -c '%Y' old; [ original -ef linked ] && echo same file; readlink dangling; ls ${long}; stat -c '%t:%T' null`;
    expect((await run('attributes', 'sh', '-c', script)).split('\n')).toEqual([
      '. 751 1000:2000 directory',
      'setuid 4755 0:0 regular file',
      'setgid 2755 0:2000 regular file',
      'owned 640 1001:2001 regular file',
      'dangling 777 0:0 symbolic link',
      'pipe 600 0:0 fifo',
      'null 666 0:0 character special file',
      '1000000000',
      'same file',
      '/nowhere',
      long,
      '1:3',
    ]);
  });
});

test('ImageFsInfo counts what the images take', async () => {
  await stage.pull(stage.ref('busybox'));
  const { image_filesystems: [filesystem] } = await stage.cri.call('ImageFsInfo', {});
  expect(filesystem?.fs_id?.mountpoint).toMatch(new RegExp(`^${stage.daemon.root}`));
  expect(Number(filesystem?.used_bytes?.value)).toBeGreaterThan(1_000_000);
  expect(Number(filesystem?.inodes_used?.value)).toBeGreaterThan(200);
  expect(BigInt(filesystem?.timestamp ?? 0)).toBeGreaterThan(1_700_000_000_000_000_000n);
  await remove(stage.ref('busybox'));
});
