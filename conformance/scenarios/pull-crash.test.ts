/**
 * berthd and berth-unpack killed at random moments of pulls, with space on the disk and without. The rounds are
 * few; BERTH_CRASH_ROUNDS asks for more.
 */

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectCri, CriError } from '../harness/cri-client.ts';
import type { CriClient } from '../harness/cri-client.ts';
import { prepareDaemon } from '../harness/daemon.ts';
import type { Daemon } from '../harness/daemon.ts';
import { big } from '../harness/hostile-images.ts';
import { busyboxLayer } from '../harness/images.ts';
import { buildImage, buildLayer } from '../harness/oci-image.ts';
import type { BuiltImage } from '../harness/oci-image.ts';
import { push } from '../harness/push.ts';
import { startRegistry } from '../harness/registry.ts';
import type { Registry } from '../harness/registry.ts';
import { dir, file } from '../harness/root-fs.ts';
import { eventually } from '../harness/wait.ts';
import { requireWorld } from '../harness/world.ts';

const ROUNDS = Number(process.env['BERTH_CRASH_ROUNDS'] ?? '4');
const DISK_MIB = 32;
/** Longer than a pull of the image takes here. */
const LONGEST_MS = 700;
const unpacker = fileURLToPath(new URL('../../dist/berth-unpack', import.meta.url));

/** Layers of every sort: a big file, many small ones, one that other images share. */
const image = (): BuiltImage => {
  const small = Array.from({ length: 400 }, (_, index) => file(`many/${index % 20}/f${index}`, `${index}\n`.repeat(50)));
  const directories = Array.from({ length: 20 }, (_, index) => dir(`many/${index}`));
  const noise = big(6_000_000).layers[1];
  if (noise === undefined) throw new Error('the big image has lost its layer');
  return buildImage([busyboxLayer(), noise, buildLayer([dir('many'), ...directories, ...small]), buildLayer([file('top', 'x')], 'zstd')]);
};

let registry: Registry;
let daemon: Daemon;
let cri: CriClient;

beforeAll(async () => {
  requireWorld();
  registry = await startRegistry();
  await push(registry, 'crashed', 'latest', image());
  daemon = await prepareDaemon({ registries: { [registry.host]: registry.url }, logLevel: 'warn' });
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MIB}m`, 'berth-crash', daemon.root]);
  await start();
});

afterAll(async () => {
  cri?.close();
  await daemon?.dispose();
  await registry?.stop();
});

const reference = (): string => `${registry.host}/crashed:latest`;
const filler = (): string => path.join(daemon.root, 'filler');

async function start(): Promise<void> {
  await daemon.start();
  cri?.close();
  cri = connectCri(daemon.socket);
}

const pull = (): Promise<string> => cri.call('PullImage', { image: { image: reference() } }).then(
  () => 'pulled',
  (error: unknown) => (error instanceof CriError ? `${error.code}: ${error.details}` : String(error)),
);

/** Every image that is listed is whole: each of its layers has what was recorded when it was verified. */
async function expectTruth(): Promise<number> {
  const { images } = await cri.call('ListImages', {});
  for (const { id } of images) {
    const { info } = await cri.call('ImageStatus', { image: { image: id }, verbose: true });
    const { layers } = JSON.parse(info['info'] ?? '{}') as { layers: { path: string }[] };
    expect(layers).toHaveLength(4);
    for (const layer of layers) {
      const record = JSON.parse(readFileSync(path.join(layer.path, '..', 'layer.json'), 'utf8')) as object;
      const found = JSON.parse(execFileSync(unpacker, ['check', layer.path], { encoding: 'utf8' })) as { inodes: number; contentBytes: number };
      expect(record).toMatchObject({ inodes: found.inodes, contentBytes: found.contentBytes });
    }
  }
  return images.length;
}

/** Removes everything and looks whether the disk agrees. */
async function expectNothingAfterPrune(): Promise<void> {
  for (const { id } of (await cri.call('ListImages', {})).images) await cri.call('RemoveImage', { image: { image: id } });
  await eventually('the store is empty', async () => {
    const left = ['layers/sha256', 'images/blobs/sha256', 'staging', 'trash', 'images/quarantine'].flatMap((name) =>
      readdirSync(path.join(daemon.root, name)).map((entry) => `${name}/${entry}`),
    );
    return left.length === 0 ? true : undefined;
  });
  const { image_filesystems: [usage] } = await cri.call('ImageFsInfo', {});
  expect(usage).toMatchObject({ used_bytes: { value: '0' }, inodes_used: { value: '0' } });
}

const textOf = (file: string): string => spawnSync('cat', [file], { encoding: 'utf8' }).stdout.trim();

/** Processes below this one, nearest first. What ends meanwhile is left out. */
function descendants(pid: number): readonly number[] {
  const children = textOf(`/proc/${pid}/task/${pid}/children`).split(' ').filter((text) => text !== '').map(Number);
  return [...children, ...children.flatMap(descendants)];
}

/** One of the unpackers, or the process that starts them, where there are any at this moment. */
function unpackerOf(pid: number): number | undefined {
  const found = descendants(pid).filter((process) => textOf(`/proc/${process}/comm`) === 'berth-unpack');
  return found[Math.floor(Math.random() * found.length)];
}

async function killSomething(round: number): Promise<'berthd' | 'unpacker'> {
  await sleep(Math.random() * LONGEST_MS);
  const child = round % 3 === 0 ? unpackerOf(daemon.pid) : undefined;
  if (child === undefined) {
    await daemon.kill();
    return 'berthd';
  }
  try {
    process.kill(child, 'SIGKILL');
  } catch {
    // It has ended by itself meanwhile, which is a moment like any other.
  }
  return 'unpacker';
}

test.each(Array.from({ length: ROUNDS }, (_, round) => round))('round %i: killed in a pull', async (round) => {
  const pulling = pull();
  const killed = await killSomething(round);
  const outcome = await pulling;
  if (killed === 'berthd') await start();
  if (outcome === 'pulled') expect(await expectTruth()).toBe(1);
  else expect(await expectTruth()).toBeLessThanOrEqual(1);
  expect(await pull()).toBe('pulled');
  expect(await expectTruth()).toBe(1);
  await expectNothingAfterPrune();
}, 60_000);

test.each(Array.from({ length: ROUNDS }, (_, round) => round))('round %i: killed in a pull on a disk that is full or gets so', async (round) => {
  // From too little for the first layer to nearly enough for all.
  const free = Math.floor(Math.random() * 12);
  await writeFile(filler(), Buffer.alloc((DISK_MIB - 4 - free) * 1024 * 1024, 1));
  const fill = spawnSync('dd', ['if=/dev/zero', `of=${filler()}2`, 'bs=64k', `count=${free === 0 ? 1024 : 0}`], { stdio: 'ignore' });
  expect(fill.error).toBeUndefined();
  const pulling = pull();
  const killed = await killSomething(round);
  const outcome = await pulling;
  if (killed === 'berthd') await start();
  expect(outcome).toMatch(/^(pulled$|RESOURCE_EXHAUSTED|UNAVAILABLE|CANCELLED|INTERNAL: .*(unpacker|berth-unpack))/);
  await expectTruth();
  expect(await pull()).toMatch(/^RESOURCE_EXHAUSTED: .*free space on the disk|^pulled$/);
  for (const name of [filler(), `${filler()}2`]) await rm(name, { force: true });
  expect(await pull()).toBe('pulled');
  expect(await expectTruth()).toBe(1);
  await expectNothingAfterPrune();
}, 60_000);

test('an image can be removed although the disk is full to the last byte', async () => {
  expect(await pull()).toBe('pulled');
  await eventually('the reserve is there', async () => existsSync(path.join(daemon.root, 'images/reserve')) || undefined);
  spawnSync('dd', ['if=/dev/zero', `of=${filler()}`, 'bs=4k'], { stdio: 'ignore' });
  expect(spawnSync('df', ['--output=avail', daemon.root], { encoding: 'utf8' }).stdout.trim().split('\n')[1]?.trim()).toBe('0');
  await daemon.kill();
  await start();
  expect(await expectTruth()).toBe(1);
  await cri.call('RemoveImage', { image: { image: reference() } });
  expect((await cri.call('ListImages', {})).images).toEqual([]);
  await rm(filler());
  await expectNothingAfterPrune();
}, 60_000);
