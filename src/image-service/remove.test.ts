import { afterEach, beforeEach, expect, test } from 'vitest';
import { removeImage } from './remove.ts';
import { callContext, imageSpec } from './testing/call.ts';
import { FakeRegistry } from './testing/fake-registry.ts';
import { makeLayer, putImage } from './testing/image-maker.ts';
import type { MadeImage } from './testing/image-maker.ts';
import { ImageRig } from './testing/image-rig.ts';

let registry: FakeRegistry;
let rig: ImageRig;
let made: MadeImage;

beforeEach(async () => {
  [registry, rig] = await Promise.all([FakeRegistry.start(), ImageRig.create()]);
  await rig.plainHttp(registry.host);
  made = putImage(registry, 'app', 'v1', [makeLayer({ file: 'x' })]);
  putImage(registry, 'app', 'v2', made.layers);
  for (const tag of ['v1', 'v2']) await rig.pull(`${registry.host}/app:${tag}`);
});

afterEach(async () => {
  await rig.close();
  await registry.stop();
});

const remove = (image: string): Promise<unknown> => removeImage(rig.store, { image: imageSpec(image) }, callContext());

test('one tag takes the image with its other tags, and its bytes are gone when the call returns', async () => {
  expect(await remove(`${registry.host}/app:v1`)).toEqual({});
  expect(rig.store.index.all()).toEqual([]);
  expect(await rig.storedLayers()).toEqual([]);
  expect(rig.store.usage()).toEqual({ bytes: 0, inodes: 0 });
});

test('the id and a digest do the same', async () => {
  await remove(made.id);
  expect(rig.store.index.all()).toEqual([]);
  await rig.pull(`${registry.host}/app:v1`);
  await remove(`${registry.host}/app@${made.manifestDigest}`);
  expect(rig.store.index.all()).toEqual([]);
});

test('what is not there is removed already', async () => {
  await remove(made.id);
  for (const image of [made.id, `${registry.host}/app:v1`, 'absent', 'not a reference']) expect(await remove(image)).toEqual({});
});

test('a request without reference is refused', async () => {
  await expect(remove('')).rejects.toThrow(expect.objectContaining({ code: 'INVALID_FIELD' }));
  expect(rig.store.index.all()).toHaveLength(1);
});
