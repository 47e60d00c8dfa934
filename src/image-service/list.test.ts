import { afterEach, beforeEach, expect, test } from 'vitest';
import { listImages } from './list.ts';
import { imageSpec } from './testing/call.ts';
import { FakeRegistry } from './testing/fake-registry.ts';
import { makeLayer, putImage } from './testing/image-maker.ts';
import { ImageRig } from './testing/image-rig.ts';

let registry: FakeRegistry;
let rig: ImageRig;

beforeEach(async () => {
  [registry, rig] = await Promise.all([FakeRegistry.start(), ImageRig.create()]);
  await rig.plainHttp(registry.host);
});

afterEach(async () => {
  await rig.close();
  await registry.stop();
});

const list = (filter?: string): readonly unknown[] =>
  listImages(rig.store, new Set(), { filter: filter === undefined ? null : { image: imageSpec(filter) } }).images ?? [];

test('every image once, with all its tags and digests', async () => {
  const layer = makeLayer({ file: 'x' });
  const made = ['v1', 'v2', 'v3'].map((tag) => putImage(registry, 'app', tag, [layer]));
  for (const tag of ['v1', 'v2', 'v3']) await rig.pull(`${registry.host}/app:${tag}`);
  expect(list()).toMatchObject([
    {
      id: made[0]?.id,
      repo_tags: ['v1', 'v2', 'v3'].map((tag) => `${registry.host}/app:${tag}`),
      repo_digests: [`${registry.host}/app@${made[0]?.manifestDigest}`],
    },
  ]);
});

test('the filter selects by any form of reference', async () => {
  const one = putImage(registry, 'one', 'v1', [makeLayer({ one: '1' })]);
  putImage(registry, 'two', 'v1', [makeLayer({ two: '2' })]);
  await rig.pull(`${registry.host}/one:v1`);
  await rig.pull(`${registry.host}/two:v1`);
  expect(list()).toHaveLength(2);
  expect(list('')).toHaveLength(2);
  for (const filter of [one.id, `${registry.host}/one:v1`]) expect(list(filter)).toMatchObject([{ id: one.id }]);
  expect(list('absent')).toEqual([]);
});

test('an image that was removed while a container uses it is not listed', async () => {
  const one = putImage(registry, 'one', 'v1', [makeLayer({ one: '1' })]);
  await rig.pull(`${registry.host}/one:v1`);
  rig.store.retain(one.id, 'container', []);
  await rig.store.remove(one.id);
  expect(list()).toEqual([]);
});
