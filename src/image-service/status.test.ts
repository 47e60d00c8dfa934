import { afterEach, beforeEach, expect, test } from 'vitest';
import { imageUser } from './cri-image.ts';
import { imageStatus } from './status.ts';
import { imageSpec } from './testing/call.ts';
import { FakeRegistry } from './testing/fake-registry.ts';
import { makeLayer, putImage } from './testing/image-maker.ts';
import type { MadeImage } from './testing/image-maker.ts';
import { ImageRig } from './testing/image-rig.ts';

let registry: FakeRegistry;
let rig: ImageRig;
let made: MadeImage;
let name: string;
const layer = makeLayer({ file: 'x' });

beforeEach(async () => {
  [registry, rig] = await Promise.all([FakeRegistry.start(), ImageRig.create()]);
  await rig.plainHttp(registry.host);
  name = `${registry.host}/app:v1`;
  made = putImage(registry, 'app', 'v1', [layer], { config: { User: 'www:data', Labels: { a: 'b' } }, annotations: { note: 'kept' } });
  await rig.pull(name);
});

afterEach(async () => {
  await rig.close();
  await registry.stop();
});

test('the image by its tag, with sizes as in the registry and annotations of the manifest', () => {
  const { image, info } = imageStatus(rig.store, new Set(), { image: imageSpec(name, 'app:v1'), verbose: false });
  const stored = rig.store.index.find(made.id);
  expect(image).toEqual({
    id: made.id,
    repo_tags: [name],
    repo_digests: [`${registry.host}/app@${made.manifestDigest}`],
    size: String((stored?.manifest.size ?? 0) + (stored?.config.size ?? 0) + layer.packed.length),
    uid: null,
    username: 'www',
    spec: { image: name, annotations: { note: 'kept' }, user_specified_image: 'app:v1' },
    pinned: false,
  });
  expect(info).toEqual({});
});

test('verbose adds the image config and the layers as JSON', () => {
  const { info } = imageStatus(rig.store, new Set(), { image: imageSpec(made.id), verbose: true });
  expect(JSON.parse(info?.['info'] ?? '')).toMatchObject({
    imageSpec: { config: { User: 'www:data', Labels: { a: 'b' } }, rootfs: { diff_ids: [layer.diffId] } },
    layers: [{ digest: layer.digest, diffId: layer.diffId, unpackedBytes: rig.store.layers.record(layer.diffId)?.unpackedBytes }],
  });
});

test.each(['absent:v1', 'not a reference', `sha256:${'0'.repeat(64)}`])('%s is a response without image', (reference) => {
  expect(imageStatus(rig.store, new Set(), { image: imageSpec(reference), verbose: true })).toEqual({ image: null, info: {} });
});

test('a request without reference is refused', () => {
  expect(() => imageStatus(rig.store, new Set(), { image: null, verbose: false })).toThrow(expect.objectContaining({ code: 'INVALID_FIELD' }));
});

test('a pinned image says so', () => {
  expect(imageStatus(rig.store, new Set([name]), { image: imageSpec(made.id), verbose: false }).image?.pinned).toBe(true);
});

test.each([
  ['', null, ''],
  ['0', '0', ''],
  ['1000', '1000', ''],
  ['1000:2000', '1000', ''],
  ['nobody', null, 'nobody'],
  ['nobody:users', null, 'nobody'],
  ['4294967295', '4294967295', ''],
  ['4294967296', null, '4294967296'],
  ['18446744073709551616', null, '18446744073709551616'],
  ['-1', null, '-1'],
])('user %j of the image is uid %j, name %j', (user, uid, username) => {
  expect(imageUser(user)).toEqual({ uid: uid === null ? null : { value: uid }, username });
});
