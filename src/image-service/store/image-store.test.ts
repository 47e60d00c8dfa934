import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { digestHex } from '../digest.ts';
import { createImageProvider } from '../provider.ts';
import { FakeRegistry } from '../testing/fake-registry.ts';
import { makeLayer, putImage } from '../testing/image-maker.ts';
import type { MadeImage } from '../testing/image-maker.ts';
import { ImageRig } from '../testing/image-rig.ts';

let registry: FakeRegistry;
let rig: ImageRig;
let one: MadeImage;
let two: MadeImage;
const shared = makeLayer({ shared: 's' });
const own = makeLayer({ own: 'o'.repeat(3000) });

beforeEach(async () => {
  [registry, rig] = await Promise.all([FakeRegistry.start(), ImageRig.create()]);
  await rig.plainHttp(registry.host);
  one = putImage(registry, 'one', 'v1', [shared]);
  two = putImage(registry, 'two', 'v1', [shared, own]);
  await rig.pull(`${registry.host}/one:v1`);
  await rig.pull(`${registry.host}/two:v1`);
});

afterEach(async () => {
  await rig.close();
  await registry.stop();
});

const images = (...parts: string[]): string => join(rig.root, 'images', ...parts);

describe('find', () => {
  test('an image is found by every form of reference', () => {
    const { index } = rig.store;
    const hex = digestHex(two.id);
    const forms = [two.id, hex, hex.slice(0, 13), `sha256:${hex.slice(0, 8)}`, `${registry.host}/two:v1`, `${registry.host}/two@${two.manifestDigest}`];
    expect(forms.map((form) => index.find(form)?.id)).toEqual(forms.map(() => two.id));
    expect(index.find(`${registry.host}/two`)).toBeUndefined();
    expect(index.find('not a reference')).toBeUndefined();
    expect(index.find('')).toBeUndefined();
  });
});

describe('remove', () => {
  test('takes all names and what nobody else uses', async () => {
    await rig.pull(`${registry.host}/two@${two.manifestDigest}`);
    expect(await rig.store.remove(`${registry.host}/two:v1`)).toBe(true);
    expect(rig.store.index.find(`${registry.host}/two@${two.manifestDigest}`)).toBeUndefined();
    expect(await rig.storedLayers()).toEqual([shared.diffId]);
    expect((await readdir(images('blobs', 'sha256'))).toSorted()).toEqual([one.id, one.manifestDigest].map(digestHex).toSorted());
    expect(await rig.store.remove(two.id)).toBe(false);
    expect(await rig.leftovers()).toEqual([]);
  });

  test('the usage goes down by what went', async () => {
    const before = rig.store.usage();
    await rig.store.remove(two.id);
    const after = rig.store.usage();
    expect(before.bytes - after.bytes).toBeGreaterThanOrEqual(own.tar.length);
    await rig.store.remove(one.id);
    expect(rig.store.usage()).toEqual({ bytes: 0, inodes: 0 });
  });

  test('a container keeps the layers of an image that is removed, across a restart', async () => {
    const paths = createImageProvider(rig.store).resolve(two.id)?.layers ?? [];
    rig.store.retain(two.id, 'container', []);
    await rig.store.remove(two.id);
    expect(rig.store.index.find(two.id)).toBeUndefined();
    expect(rig.store.index.listed().map(({ id }) => id)).toEqual([one.id]);
    await rig.open();
    rig.store.retain(two.id, 'container', []);
    await rig.store.removeUnused();
    expect(await readFile(join(paths[0] ?? '', 'layer.tar'))).toEqual(own.tar);
    rig.store.release(two.id, 'container');
    await rig.leftovers();
    expect(await rig.storedLayers()).toEqual([shared.diffId]);
  });

  test('a container keeps its layers although the image does not load after a restart', async () => {
    const layers = createImageProvider(rig.store).resolve(two.id)?.layers ?? [];
    await rm(join(rig.root, 'images', 'blobs', 'sha256', two.id.replace('sha256:', '')));
    await rig.open();
    rig.store.retain(two.id, 'container', layers);
    await rig.store.removeUnused();
    expect(rig.store.index.find(two.id)).toBeUndefined();
    expect(await readFile(join(layers[0] ?? '', 'layer.tar'))).toEqual(own.tar);
    rig.store.release(two.id, 'container');
    await rig.store.endMending();
    await rig.leftovers();
    expect(await rig.storedLayers()).toEqual([shared.diffId]);
  });

  test('an image that lost its names while in use gets them back by a pull', async () => {
    rig.store.retain(two.id, 'container', []);
    await rig.store.remove(two.id);
    registry.seen.length = 0;
    await rig.pull(`${registry.host}/two:v1`);
    expect(registry.requests(new RegExp(own.digest))).toEqual([]);
    rig.store.release(two.id, 'container');
    await rig.leftovers();
    expect(rig.store.index.find(two.id)).toBeDefined();
    expect(await rig.storedLayers()).toHaveLength(2);
  });

  test('the release of an image that is still named deletes nothing', async () => {
    rig.store.retain(two.id, 'container', []);
    rig.store.release(two.id, 'container');
    rig.store.release(two.id, 'container');
    await rig.leftovers();
    expect(await rig.storedLayers()).toHaveLength(2);
  });
});

describe('opening', () => {
  const listed = (): readonly string[] => rig.store.index.listed().map(({ id }) => id).toSorted();

  test('finds what was there', async () => {
    const before = rig.store.usage();
    await rig.open();
    expect(listed()).toEqual([one.id, two.id].toSorted());
    expect(rig.store.usage()).toEqual(before);
    expect(rig.store.index.find(`${registry.host}/two:v1`)?.layers).toHaveLength(2);
  });

  test('empties staging and trash', async () => {
    for (const place of ['staging', 'trash']) {
      await mkdir(join(rig.root, place, 'layer-1-abc', 'fs'), { recursive: true });
      await writeFile(join(rig.root, place, 'file'), 'x');
    }
    await rig.open();
    expect(await rig.leftovers()).toEqual([]);
  });

  test('deletes layers of no image only when asked', async () => {
    await rig.store.remove(one.id);
    await rig.store.remove(two.id);
    const orphan = join(rig.root, 'layers', 'sha256', digestHex(own.diffId));
    await mkdir(join(orphan, 'fs'), { recursive: true });
    await writeFile(join(orphan, 'skeleton'), 'x');
    await writeFile(join(orphan, 'layer.json'), JSON.stringify({ digest: own.digest, diffId: own.diffId, size: 1, tarBytes: 1, unpackedBytes: 1, inodes: 1, skeletonBytes: 1, contentBytes: 1, implied: 0 }));
    await rig.open();
    expect(await rig.storedLayers()).toEqual([own.diffId]);
    expect(await rig.store.removeUnused()).toHaveLength(1);
    expect(await rig.storedLayers()).toEqual([]);
  });

  test.each([
    ['a config that changed', () => writeFile(images('blobs', 'sha256', digestHex(two.id)), '{}')],
    ['a manifest that is gone', () => rm(images('blobs', 'sha256', digestHex(two.manifestDigest)))],
    ['a layer without record', () => rm(join(rig.root, 'layers', 'sha256', digestHex(own.diffId), 'layer.json'))],
    ['a layer with a bad record', () => writeFile(join(rig.root, 'layers', 'sha256', digestHex(own.diffId), 'layer.json'), 'x')],
    ['a layer that is gone', () => rm(join(rig.root, 'layers', 'sha256', digestHex(own.diffId)), { recursive: true })],
    ['a layer without tree', () => rm(join(rig.root, 'layers', 'sha256', digestHex(own.diffId), 'fs'), { recursive: true })],
  ])('with %s loses that image alone, says so, and a pull mends it', async (_, damage) => {
    await damage();
    rig.logged.length = 0;
    await rig.open();
    expect(listed()).toEqual([one.id]);
    expect(rig.logged.join('')).toContain('put aside');
    expect((await readdir(images('quarantine'))).length).toBeGreaterThan(0);
    await rig.pull(`${registry.host}/two:v1`);
    expect(listed()).toEqual([one.id, two.id].toSorted());
    rig.logged.length = 0;
    await rig.open();
    expect(listed()).toEqual([one.id, two.id].toSorted());
    expect(rig.logged).toEqual([]);
  });

  test('with an index that does not parse falls back to the one before', async () => {
    await writeFile(images('index.json'), '{"schemaVersion":2,"mani');
    await rig.open();
    expect(listed()).toEqual([one.id]);
    expect((await readdir(images('quarantine'))).length).toBe(1);
    // The layers of the image that the older index does not know are still there for its next pull.
    registry.seen.length = 0;
    await rig.pull(`${registry.host}/two:v1`);
    expect(registry.requests(new RegExp(own.digest))).toEqual([]);
  });

  test('with one bad entry in the index keeps the others', async () => {
    const index = JSON.parse(await readFile(images('index.json'), 'utf8')) as { manifests: unknown[] };
    index.manifests.push({ digest: 5 });
    await writeFile(images('index.json'), JSON.stringify(index));
    await rig.open();
    expect(listed()).toEqual([one.id, two.id].toSorted());
  });
});

test('a commit that fails in the flush leaves the index as it was', async () => {
  const three = putImage(registry, 'three', 'v1', [makeLayer({ three: '3' })]);
  const { sync } = rig.unpacker;
  rig.unpacker.sync = () => Promise.reject(new Error('flush failed'));
  await expect(rig.pull(`${registry.host}/three:v1`)).rejects.toThrow(/flush failed/);
  expect(rig.store.index.find(three.id)).toBeUndefined();
  expect((await readdir(join(rig.root, 'staging'))).filter((name) => name.startsWith('blob-'))).toEqual([]);
  rig.unpacker.sync = sync;
  // The layer was verified and waits for this.
  registry.seen.length = 0;
  await rig.pull(`${registry.host}/three:v1`);
  expect(registry.requests(new RegExp(three.layers[0]?.digest ?? ''))).toEqual([]);
  await rig.open();
  expect(rig.store.index.find(three.id)).toBeDefined();
});
