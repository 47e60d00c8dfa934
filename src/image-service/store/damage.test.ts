/** What is done about layers that are not what they were: pulled again when needed, and nothing else is. */

import { existsSync } from 'node:fs';
import { readFile, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { BerthError } from '../../errors/catalogue.ts';
import { verifyLayers } from '../admin/verify.ts';
import { layerTar } from '../archive/layer-tar.ts';
import { digestHex } from '../digest.ts';
import { createImageProvider } from '../provider.ts';
import { diskUsage } from '../testing/disk-usage.ts';
import { FakeRegistry } from '../testing/fake-registry.ts';
import { makeLayer, putImage } from '../testing/image-maker.ts';
import type { MadeImage, MadeLayer } from '../testing/image-maker.ts';
import { ImageRig } from '../testing/image-rig.ts';

let registry: FakeRegistry;
let rig: ImageRig;
let image: MadeImage;
let other: MadeImage;
const [bottom, top, foreign] = [makeLayer({ bottom: 'b' }), makeLayer({ top: 't'.repeat(2000) }), makeLayer({ foreign: 'f' })];

const directoryOf = ({ diffId }: MadeLayer): string => join(rig.root, 'layers', 'sha256', digestHex(diffId));
const images = (...parts: string[]): string => join(rig.root, 'images', ...parts);
const name = (repository: string): string => `${registry.host}/${repository}:v1`;
const listed = (): readonly string[] => rig.store.index.listed().map(({ id }) => id).toSorted();
const fetches = (layer: MadeLayer): number => registry.requests(new RegExp(layer.digest)).length;

/** As berthd starts: what belongs to nothing is deleted when the containers are known. */
async function restart(retain: () => void = () => undefined): Promise<void> {
  await rig.open();
  retain();
  await rig.store.removeUnused();
}

async function spoil(layer: MadeLayer): Promise<void> {
  const file = join(directoryOf(layer), 'fs', 'layer.tar');
  const content = await readFile(file);
  content[600] = (content[600] ?? 0) ^ 1;
  await writeFile(file, content);
}

async function verify(reference = ''): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for await (const { diff_id, problem } of verifyLayers(rig.store, rig.unpacker, reference, new AbortController().signal)) {
    found[diff_id ?? ''] = problem ?? '';
  }
  return found;
}

/** The image is pulled, and only `layer` of it comes over the network. */
async function expectMended(layer: MadeLayer): Promise<void> {
  registry.seen.length = 0;
  await rig.pull(name('app'));
  expect([bottom, top].map(fetches)).toEqual([bottom, top].map((one) => (one === layer ? 1 : 0)));
  expect(listed()).toEqual([image.id, other.id].toSorted());
  expect(await readFile(join(directoryOf(layer), 'fs', 'layer.tar'))).toEqual(layer.tar);
}

function expectTrueUsage(): void {
  const places = [join(rig.root, 'layers', 'sha256'), images('blobs', 'sha256'), images('quarantine')];
  expect(rig.store.usage()).toEqual(diskUsage(...places));
}

beforeEach(async () => {
  [registry, rig] = await Promise.all([FakeRegistry.start(), ImageRig.create()]);
  await rig.plainHttp(registry.host);
  image = putImage(registry, 'app', 'v1', [bottom, top]);
  other = putImage(registry, 'other', 'v1', [foreign]);
  for (const repository of ['app', 'other']) await rig.pull(name(repository));
});

afterEach(async () => {
  await rig.close();
  await registry.stop();
});

describe('found at the start after a crash of the machine', () => {
  test.each([
    ['a file that became shorter', () => truncate(join(directoryOf(top), 'fs', 'layer.tar'), 100)],
    ['a file that is gone', () => rm(join(directoryOf(top), 'fs', 'layer.tar'))],
    ['a skeleton that became shorter', () => truncate(join(directoryOf(top), 'skeleton'), 1)],
    ['a record that became shorter', () => truncate(join(directoryOf(top), 'layer.json'), 10)],
  ])('%s: that layer alone is pulled again, also when berthd starts once more before', async (_, damage) => {
    await damage();
    await writeFile(images('running'), 'another-boot\n');
    await restart();
    expect(listed()).toEqual([other.id]);
    expectTrueUsage();
    await restart();
    await expectMended(top);
    expectTrueUsage();
  });

  test('an index that is lost with the one before loses no layer', async () => {
    for (const file of ['index.json', 'index.previous.json']) await writeFile(images(file), 'torn');
    await restart();
    expect(listed()).toEqual([]);
    registry.seen.length = 0;
    for (const repository of ['app', 'other']) await rig.pull(name(repository));
    expect([bottom, top, foreign].map(fetches)).toEqual([0, 0, 0]);
  });
});

describe('found by a verification', () => {
  test('a layer that changed is told, its image is not there any more, and the next pull fetches it', async () => {
    await spoil(top);
    expect(await verify()).toEqual({ [bottom.diffId]: '', [top.diffId]: expect.stringContaining('has the digest'), [foreign.diffId]: '' });
    expect(listed()).toEqual([other.id]);
    expect(createImageProvider(rig.store).resolve(name('app'))).toBeUndefined();
    expect(rig.logged.join('')).toContain('damaged');
    expectTrueUsage();
    await expectMended(top);
    expect(await verify()).toEqual({ [bottom.diffId]: '', [top.diffId]: '', [foreign.diffId]: '' });
  });

  test('the same when berthd starts again in between', async () => {
    await spoil(bottom);
    await verify(name('app'));
    await restart();
    expect(listed()).toEqual([other.id]);
    await expectMended(bottom);
  });

  test('one that cannot be read is damaged; one that the machine could not look at is not', async () => {
    rig.unpacker.packFailsWith = new BerthError('UNPACK_FAILED', 'no memory');
    expect(Object.values(await verify())).toEqual(['no memory', 'no memory', 'no memory']);
    expect(listed()).toEqual([image.id, other.id].toSorted());
    rig.unpacker.packFailsWith = new BerthError('LAYER_DAMAGED', 'gone');
    await verify(name('other'));
    expect(listed()).toEqual([image.id]);
  });

  test('a container keeps the layer that it runs on, beside the new one, also across a restart', async () => {
    const layers = createImageProvider(rig.store).resolve(image.id)?.layers ?? [];
    const retain = (): void => rig.store.retain(image.id, 'container', layers);
    retain();
    await spoil(top);
    const spoilt = await readFile(join(directoryOf(top), 'fs', 'layer.tar'));
    await verify();
    await restart(retain);
    await expectMended(top);
    await rig.store.endMending();
    const [aside = ''] = await readdir(images('quarantine'));
    expect(aside).toContain(digestHex(top.diffId));
    expect(await readFile(images('quarantine', aside, 'fs', 'layer.tar'))).toEqual(spoilt);
    expectTrueUsage();
    rig.store.release(image.id, 'container');
    await rig.store.tidy();
    expect(await readdir(images('quarantine'))).toEqual([]);
    expect(await rig.leftovers()).toEqual([]);
    expectTrueUsage();
  });

  test('one that is read for an export is given up as well', async () => {
    const read = async (): Promise<void> => {
      for await (const piece of layerTar(rig, top.diffId, new AbortController().signal)) expect(piece.length).toBeGreaterThan(0);
    };
    await read();
    expect(listed()).toContain(image.id);
    await spoil(top);
    await expect(read()).rejects.toThrow(expect.objectContaining({ code: 'DIGEST_MISMATCH' }));
    expect(listed()).toEqual([other.id]);
    await expectMended(top);
    rig.unpacker.packFailsWith = new BerthError('LAYER_DAMAGED', 'gone');
    await expect(read()).rejects.toThrow(/gone/);
    expect(listed()).toEqual([other.id]);
  });

  test('an image that is removed while it is verified goes afterwards', async () => {
    const verification = verifyLayers(rig.store, rig.unpacker, name('app'), new AbortController().signal);
    await verification.next();
    await rig.store.remove(name('app'));
    expect(existsSync(directoryOf(top))).toBe(true);
    for await (const { problem } of verification) expect(problem).toBe('');
    expect(existsSync(directoryOf(top))).toBe(false);
  });
});

describe('what waits to be mended', () => {
  beforeEach(async () => {
    await spoil(top);
    await verify();
  });

  test('goes when it is given up', async () => {
    await rig.store.endMending();
    expect(await rig.storedLayers()).toEqual([foreign.diffId]);
    expect(await readdir(images('quarantine'))).toEqual([]);
    expect(existsSync(images('mending'))).toBe(false);
    expectTrueUsage();
  });

  test('goes after a day and not before', async () => {
    await rig.store.tidy();
    expect(await rig.storedLayers()).toHaveLength(2);
    await writeFile(images('mending'), String(Date.now() - 25 * 60 * 60_000));
    await restart();
    expect(await rig.storedLayers()).toHaveLength(2);
    await rig.store.tidy();
    expect(await rig.storedLayers()).toEqual([foreign.diffId]);
  });

  test('goes when a pull finds the disk full', async () => {
    rig.unpacker.failWith = new BerthError('DISK_FULL', 'no space');
    await expect(rig.pull(name('app'))).rejects.toThrow(/no space/);
    expect(await rig.storedLayers()).toEqual([foreign.diffId]);
  });

  test('is the image’s again after the pull, and goes with it', async () => {
    await expectMended(top);
    await rig.store.remove(image.id);
    expect(await rig.storedLayers()).toEqual([foreign.diffId]);
  });
});
