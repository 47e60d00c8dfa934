import { readFile, readdir, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { digestHex } from '../digest.ts';
import { createImageProvider } from '../provider.ts';
import { FakeRegistry } from '../testing/fake-registry.ts';
import { makeLayer, putImage } from '../testing/image-maker.ts';
import type { MadeImage } from '../testing/image-maker.ts';
import { ImageRig } from '../testing/image-rig.ts';
import { directoriesLayer } from './directories-layer.ts';

let registry: FakeRegistry;
let rig: ImageRig;
let image: MadeImage;
const [bottom, top] = [makeLayer({ bottom: 'b' }), makeLayer({ top: 't'.repeat(2000) })];

const treeOf = (diffId: string): string => join(rig.root, 'layers', 'sha256', digestHex(diffId), 'fs');
const running = (): string => join(rig.root, 'images', 'running');

beforeEach(async () => {
  [registry, rig] = await Promise.all([FakeRegistry.start(), ImageRig.create()]);
  await rig.plainHttp(registry.host);
  image = putImage(registry, 'app', 'v1', [bottom, top]);
});

afterEach(async () => {
  await rig.close();
  await registry.stop();
});

describe('after a crash of the machine', () => {
  beforeEach(async () => {
    await rig.pull(`${registry.host}/app:v1`);
    // The disk has lost a part of what it had confirmed.
    await truncate(join(treeOf(top.diffId), 'layer.tar'), 100);
    await writeFile(running(), 'another-boot\n');
    await rig.open();
  });

  test('a layer that is not what its record says is put aside, and its image is not there', async () => {
    expect(rig.store.index.listed()).toEqual([]);
    expect(await rig.storedLayers()).toEqual([bottom.diffId]);
    expect((await readdir(join(rig.root, 'images', 'quarantine'))).some((name) => name.endsWith(digestHex(top.diffId)))).toBe(true);
  });

  test('the next pull fetches that layer alone', async () => {
    registry.seen.length = 0;
    await rig.pull(`${registry.host}/app:v1`);
    expect(registry.requests(new RegExp(bottom.digest))).toEqual([]);
    expect(registry.requests(new RegExp(top.digest))).toHaveLength(1);
    expect(rig.store.index.find(image.id)).toBeDefined();
  });

  test('the start after that counts nothing', async () => {
    await rig.pull(`${registry.host}/app:v1`);
    await truncate(join(treeOf(top.diffId), 'layer.tar'), 100);
    await rig.open();
    expect(rig.store.index.find(image.id)).toBeDefined();
  });
});

test('after an orderly end in another boot nothing is counted', async () => {
  await rig.pull(`${registry.host}/app:v1`);
  await rig.store.close();
  await truncate(join(treeOf(top.diffId), 'layer.tar'), 100);
  await rig.open();
  expect(rig.store.index.find(image.id)).toBeDefined();
});

test('the index before the last one takes its place when the last one is damaged', async () => {
  await rig.pull(`${registry.host}/app:v1`);
  putImage(registry, 'app', 'v2', [bottom]);
  await rig.pull(`${registry.host}/app:v2`);
  await writeFile(join(rig.root, 'images', 'index.json'), '{"torn');
  await rig.open();
  expect(rig.store.index.listed().map(({ id }) => id)).toEqual([image.id]);
  expect(JSON.parse(await readFile(join(rig.root, 'images', 'index.json'), 'utf8'))).toHaveProperty('manifests');
});

test('space for an index is set aside', async () => {
  expect((await stat(join(rig.root, 'images', 'reserve'))).size).toBe(1024 * 1024);
});

describe('directories that layers only imply', () => {
  const extra = directoriesLayer([bottom.diffId, top.diffId]);

  beforeEach(async () => {
    rig.unpacker.implied = 1;
    await rig.pull(`${registry.host}/app:v1`);
  });

  test('are a layer over the image\'s own, also after a restart', async () => {
    const layers = [extra, top.diffId, bottom.diffId].map(treeOf);
    expect(createImageProvider(rig.store).resolve(image.id)?.layers).toEqual(layers);
    await rig.open();
    await rig.store.removeUnused();
    expect(createImageProvider(rig.store).resolve(image.id)?.layers).toEqual(layers);
  });

  test('go with the image', async () => {
    await rig.store.remove(image.id);
    await rig.leftovers();
    expect(await rig.storedLayers()).toEqual([]);
  });

  test('are made again by a pull when they are lost', async () => {
    await rig.unpacker.remove(join(treeOf(extra), '..'), new AbortController().signal);
    await rig.open();
    expect(rig.store.index.listed()).toEqual([]);
    await rig.pull(`${registry.host}/app:v1`);
    expect(createImageProvider(rig.store).resolve(image.id)?.layers).toContain(treeOf(extra));
  });
});
