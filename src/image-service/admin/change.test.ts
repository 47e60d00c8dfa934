import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FakeRegistry } from '../testing/fake-registry.ts';
import { makeLayer, putImage } from '../testing/image-maker.ts';
import type { MadeImage } from '../testing/image-maker.ts';
import { ImageRig } from '../testing/image-rig.ts';
import { pruneImages, removeNamed } from './change.ts';

let registry: FakeRegistry;
let rig: ImageRig;
let images: Readonly<Record<string, MadeImage>>;

const reference = (name: string): string => `${registry.host}/${name}:v1`;
const idOf = (name: string): string => images[name]?.id ?? '';
const listed = (): readonly string[] => rig.store.index.listed().map(({ id }) => id).toSorted();

beforeEach(async () => {
  [registry, rig] = await Promise.all([FakeRegistry.start(), ImageRig.create()]);
  await rig.plainHttp(registry.host);
  images = Object.fromEntries(['pinned', 'used', 'idle'].map((name) => [name, putImage(registry, name, 'v1', [makeLayer({ [name]: name })])]));
  for (const name of Object.keys(images)) await rig.pull(reference(name));
  rig.store.retain(idOf('used'), 'container', []);
});

afterEach(async () => {
  await rig.close();
  await registry.stop();
});

describe('prune', () => {
  test('takes the images that no container uses and nobody has pinned, when it is asked for images', async () => {
    const before = rig.store.usage().bytes;
    const { image_ids, freed_bytes } = await pruneImages(rig.store, new Set([reference('pinned')]), { unused_images: true });
    expect(image_ids).toEqual([idOf('idle')]);
    expect(listed()).toEqual(['pinned', 'used'].map(idOf).toSorted());
    expect(Number(freed_bytes)).toBe(before - rig.store.usage().bytes);
    expect(Number(freed_bytes)).toBeGreaterThan(0);
  });

  test('takes no image when it is not', async () => {
    expect(await pruneImages(rig.store, new Set(), { unused_images: false })).toEqual({ image_ids: [], freed_bytes: '0' });
    expect(listed()).toHaveLength(3);
  });
});

test('a removal tells what it took, and what that freed', async () => {
  const before = rig.store.usage().bytes;
  const removed = await removeNamed(rig.store, reference('idle'));
  expect(removed).toMatchObject({ id: idOf('idle'), freed_bytes: String(before - rig.store.usage().bytes) });
  expect(removed.names).toContain(reference('idle'));
  expect((await removeNamed(rig.store, reference('used'))).freed_bytes).toBe('0');
});
