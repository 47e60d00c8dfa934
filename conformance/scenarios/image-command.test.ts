import { execFileSync } from 'node:child_process';
import { readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { berth } from '../harness/berth-command.ts';
import type { BerthResult } from '../harness/berth-command.ts';
import { attributes, busybox, layered } from '../harness/images.ts';
import type { BuiltImage } from '../harness/oci-image.ts';
import { useStage } from '../harness/stage.ts';

const stage = useStage({ images: { busybox, layered, attributes }, pulled: [], leaks: { images: true } });

const image = (...args: string[]): Promise<BerthResult> => berth(stage.daemon.socket, ['image', ...args]);

/** Gives the standard output of a command that has to succeed. */
async function ok(...args: string[]): Promise<string> {
  const result = await image(...args);
  expect(result).toMatchObject({ code: 0, stderr: result.stderr });
  return result.stdout;
}

const diffIds = (built: BuiltImage): readonly string[] => built.layers.map(({ diffId }) => diffId);

const skopeo = (...args: string[]): string => execFileSync('skopeo', args, { encoding: 'utf8' });

async function archiveOf(...repositories: string[]): Promise<string> {
  const file = path.join(await stage.directory('archives'), `${repositories.join('-')}.tar`);
  for (const repository of repositories) await stage.pull(stage.ref(repository));
  await ok('export', '--output', file, ...repositories.map((repository) => stage.ref(repository)));
  return file;
}

const removeAll = (): Promise<string> => ok('prune', '--all');

describe('names', () => {
  test('pull, ls, inspect, tag, rm', async () => {
    const pulled = await image('pull', stage.ref('layered'));
    expect(pulled).toMatchObject({ code: 0, stdout: `${layered().id}\n` });
    expect(pulled.stderr.trim().split('\n')).toHaveLength(new Set(diffIds(layered())).size);
    expect(await ok('ls')).toContain(stage.ref('layered'));
    expect(await ok('tag', stage.ref('layered'), 'example.test/other:1')).toBe('example.test/other:1\n');
    expect(JSON.parse(await ok('inspect', 'example.test/other:1'))).toMatchObject({
      id: layered().id,
      names: expect.arrayContaining(['example.test/other:1', stage.ref('layered')]) as string[],
      users: [],
    });
    const removed = await ok('rm', 'example.test/other:1');
    expect(removed).toContain(`removed ${stage.ref('layered')}\n`);
    expect(await ok('ls', '--quiet')).toBe('');
  });

  test('what is not there is an error', async () => {
    for (const args of [['inspect', 'nothing'], ['rm', 'nothing'], ['tag', 'nothing', 'name'], ['export', '-o', '-', 'nothing'], ['verify', 'nothing']]) {
      expect(await image(...args)).toMatchObject({ code: 1, stderr: expect.stringContaining('image "nothing" is not on this node') as string });
    }
    expect(await image('pull', stage.ref('nothing'))).toMatchObject({ code: 1 });
    expect(await image('tag', 'only-one')).toMatchObject({ code: 2 });
    expect(await image('what')).toMatchObject({ code: 2 });
  });

  test('prune keeps what a container uses', async () => {
    await stage.pull(stage.ref('busybox'));
    await stage.pull(stage.ref('layered'));
    const pod = await stage.kubelet.runPod({ linux: { security_context: { namespace_options: { network: 'NODE' } } } });
    await stage.kubelet.create(pod, { image: stage.ref('busybox'), command: ['true'] });
    expect(await ok('prune', '--all')).toContain(`removed ${layered().id}\n`);
    expect((await ok('ls', '--quiet')).trim()).toBe(busybox().id);
    await stage.kubelet.removePod(pod);
    await removeAll();
    expect(await ok('ls', '--quiet')).toBe('');
  });
});

describe('archives', () => {
  test('what was exported comes back as the same image, in any compression', async () => {
    const tar = await readFile(await archiveOf('attributes', 'layered'));
    for (const [name, bytes] of Object.entries({ tar, gzip: gzipSync(tar), zstd: zstdCompressSync(tar) })) {
      await removeAll();
      const result = await berth(stage.daemon.socket, ['image', 'import', '-'], bytes);
      expect({ name, ...result }).toMatchObject({ name, code: 0 });
      expect((await ok('ls', '--quiet')).trim().split('\n').sort()).toEqual([attributes().id, layered().id].sort());
      expect(await ok('verify')).not.toContain('BAD');
    }
    await removeAll();
  });

  test('an archive goes into a pipe or a device, not in its place', async () => {
    await stage.pull(stage.ref('busybox'));
    const sink = path.join(await stage.directory('archives'), 'sink');
    execFileSync('mknod', [sink, 'c', '1', '3']);
    await ok('export', '--output', sink, stage.ref('busybox'));
    expect((await stat(sink)).isCharacterDevice()).toBe(true);
    const piped = await image('export', '--output', '-', stage.ref('busybox'));
    expect(piped).toMatchObject({ code: 0, stdout: expect.stringContaining('oci-layout') as string });
    await removeAll();
  });

  test('skopeo reads what berth writes, and berth what skopeo writes', async () => {
    const file = await archiveOf('layered');
    const directory = path.dirname(file);
    const config = (source: string): unknown => (JSON.parse(skopeo('inspect', '--config', source)) as { rootfs: unknown }).rootfs;
    expect(config(`oci-archive:${file}:latest`)).toEqual({ type: 'layers', diff_ids: diffIds(layered()) });
    expect(config(`docker-archive:${file}:${stage.ref('layered')}`)).toEqual({ type: 'layers', diff_ids: diffIds(layered()) });
    await removeAll();
    skopeo('copy', '-q', `oci-archive:${file}:latest`, `oci-archive:${directory}/oci.tar:v1`);
    skopeo('copy', '-q', `oci-archive:${file}:latest`, `docker-archive:${directory}/docker.tar:example.test/docker:v2`);
    expect(await image('import', `${directory}/oci.tar`)).toMatchObject({ code: 1, stderr: expect.stringContaining('has no name') as string });
    await ok('import', '--name', 'example.test/oci', `${directory}/oci.tar`);
    await ok('import', `${directory}/docker.tar`);
    const names = await ok('ls');
    expect(names).toContain('example.test/oci:v1');
    expect(names).toContain('example.test/docker:v2');
    expect(JSON.parse(await ok('inspect', 'example.test/oci:v1'))).toMatchObject({ id: layered().id });
    await removeAll();
  });

  test.each([
    ['an OCI archive', (file: string) => `oci-archive:${file}:latest`],
    ['a Docker archive', (file: string) => `docker-archive:${file}:${stage.ref('attributes')}`],
  ])('what is exported goes through skopeo, read as %s, and comes back with the same layers', async (_, source) => {
    const file = await archiveOf('attributes');
    const directory = path.dirname(file);
    await removeAll();
    const copies = {
      'oci.tar': ['oci-archive:', ':v1'],
      'docker.tar': ['docker-archive:', ':example.test/round:v1'],
      'again.tar': ['docker-archive:', ':example.test/round:v1'],
    } as const;
    for (const [name, [kind, tag]] of Object.entries(copies)) {
      const copy = path.join(directory, name);
      await rm(copy, { force: true });
      const from = name === 'again.tar' ? `oci-archive:${directory}/oci.tar:v1` : source(file);
      skopeo('copy', '-q', from, `${kind}${copy}${tag}`);
      await ok('import', ...(kind === 'oci-archive:' ? ['--name', 'example.test/round'] : []), copy);
      const { id, layers } = JSON.parse(await ok('inspect', 'example.test/round:v1')) as { id: string; layers: { diff_id: string }[] };
      // Their tars, so the files with owners, modes, times and attributes: the import has compared the digests.
      expect(layers.map(({ diff_id }) => diff_id)).toEqual(diffIds(attributes()));
      // From Docker's form into OCI's skopeo writes the config anew, and with it the id.
      if (from.startsWith('oci-archive:') ? !source(file).startsWith('docker-archive:') : kind === 'docker-archive:') expect(id).toBe(attributes().id);
      await removeAll();
    }
  });

  test('an archive that skopeo has compressed is the same image, and runs', async () => {
    const file = await archiveOf('layered');
    const copy = path.join(path.dirname(file), 'compressed.tar');
    await removeAll();
    // To a registry and back: that is where skopeo compresses.
    skopeo('copy', '-q', '--dest-tls-verify=false', `oci-archive:${file}:latest`, `docker://${stage.registry.host}/round:latest`);
    skopeo('copy', '-q', '--src-tls-verify=false', `docker://${stage.registry.host}/round:latest`, `oci-archive:${copy}:v1`);
    await ok('import', '--name', 'example.test/round', copy);
    const { id, layers } = JSON.parse(await ok('inspect', 'example.test/round:v1')) as { id: string; layers: { digest: string; diff_id: string }[] };
    expect(id).toBe(layered().id);
    for (const { digest, diff_id } of layers) expect(digest).not.toBe(diff_id);
    const pod = await stage.kubelet.runPod({ linux: { security_context: { namespace_options: { network: 'NODE' } } } });
    const container = await stage.kubelet.run(pod, { image: 'example.test/round:v1', command: ['sleep', '1000'] });
    expect((await stage.kubelet.exec(container, 'sh', '-c', 'cat /data/removed /data/replaced; ls /data/emptied')).stdout).toBe('back again\nmiddle\nnew\n');
    await stage.kubelet.removePod(pod);
    await removeAll();
  });

  test('an archive that is damaged or no archive changes nothing', async () => {
    const tar = await readFile(await archiveOf('busybox'));
    await removeAll();
    const before = await readdir(path.join(stage.daemon.root, 'staging'));
    const wrongLayer = Buffer.from(tar);
    // In the middle of the layer, which is nearly all of the archive.
    wrongLayer[tar.length >> 1] = (wrongLayer[tar.length >> 1] ?? 0) ^ 1;
    for (const bytes of [tar.subarray(0, tar.length >> 1), Buffer.from('not a tar'), Buffer.alloc(0), Buffer.alloc(10_240), gzipSync(tar).subarray(0, 5000), wrongLayer]) {
      expect(await berth(stage.daemon.socket, ['image', 'import', '-'], bytes)).toMatchObject({ code: 1 });
      expect(await ok('ls', '--quiet')).toBe('');
      expect(await readdir(path.join(stage.daemon.root, 'staging'))).toEqual(before);
      expect(await readdir(path.join(stage.daemon.root, 'layers/sha256'))).toEqual([]);
    }
  });

  test('a layer that was changed on disk is found, not exported, and pulled again when its image is', async () => {
    const [diffId = ''] = diffIds(busybox());
    const program = path.join(stage.daemon.root, 'layers/sha256', diffId.slice('sha256:'.length), 'fs/bin/busybox');
    const change = async (): Promise<void> => {
      await stage.pull(stage.ref('busybox'));
      expect(await image('verify', stage.ref('busybox'))).toMatchObject({ code: 0 });
      const content = await readFile(program);
      content[1000] = (content[1000] ?? 0) ^ 1;
      await writeFile(program, content);
    };
    await change();
    expect(await image('verify', stage.ref('busybox'))).toMatchObject({ code: 1, stdout: expect.stringMatching(/^BAD {2}[0-9a-f]{12}/) as string });
    expect((await stage.cri.call('ImageStatus', { image: { image: stage.ref('busybox') } })).image).toBeNull();
    await change();
    const file = path.join(await stage.directory('archives'), 'changed.tar');
    expect(await image('export', '--output', file, stage.ref('busybox'))).toMatchObject({ code: 1, stderr: expect.stringContaining('not what was pulled') as string });
    expect(await readdir(path.dirname(file))).not.toContain('changed.tar');
    expect(await readdir(path.dirname(file))).not.toContain('changed.tar.part');
    expect(await ok('ls', '--quiet')).toBe('');
    await ok('prune');
    expect(await readdir(path.join(stage.daemon.root, 'images/quarantine'))).toEqual([]);
    await removeAll();
  });
});
