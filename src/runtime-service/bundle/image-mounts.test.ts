import { expect, test } from 'vitest';
import type { Mount__Output } from '../../cri-server/generated/runtime/v1/Mount.ts';
import type { ImageProvider } from '../../image-service/images.ts';
import { imageConfig } from '../testing/requests.ts';
import { imageMount, isImageDestination, mountedImageIds, resolveImageMounts } from './image-mounts.ts';

const id = `sha256:${'a'.repeat(64)}`;
const image = { id, repoTags: [], repoDigests: [], config: imageConfig({}), layers: ['/layers/top', '/layers/bottom'] };
const images: ImageProvider = {
  resolve: (reference) => (reference === 'model' || reference === id ? image : undefined),
  retain: () => undefined,
  release: () => undefined,
};
const spec = { image: 'model', annotations: {}, user_specified_image: 'the model', runtime_handler: '', image_ref: '' };

function mount(changes: Partial<Mount__Output>): Mount__Output {
  return {
    container_path: '/model', host_path: '', readonly: true, selinux_relabel: false, propagation: 'PROPAGATION_PRIVATE',
    uidMappings: [], gidMappings: [], recursive_read_only: false, image: spec, image_sub_path: '', mount_options: [], ...changes,
  };
}

test('a mounted image is known by its id from then on', () => {
  const host = mount({ image: null, host_path: '/data' });
  const resolved = resolveImageMounts([host, mount({}), mount({ image: { ...spec, image: id }, container_path: '/again' })], images);
  expect(resolved[0]).toEqual(host);
  expect(resolved[1]?.image).toEqual({ ...spec, image_ref: id });
  expect(mountedImageIds(resolved)).toEqual([id]);
});

test.each<[Partial<Mount__Output>, string, string]>([
  [{ readonly: false }, 'INVALID_FIELD', 'config.mounts[0].readonly'],
  [{ host_path: '/data' }, 'INVALID_FIELD', 'config.mounts[0].host_path'],
  [{ propagation: 'PROPAGATION_BIDIRECTIONAL' }, 'INVALID_FIELD', 'config.mounts[0].propagation'],
  [{ image_sub_path: '/etc' }, 'INVALID_FIELD', 'config.mounts[0].image_sub_path'],
  [{ image_sub_path: 'a/../../b' }, 'INVALID_FIELD', 'config.mounts[0].image_sub_path'],
  [{ image: { ...spec, image: 'unknown' } }, 'IMAGE_NOT_FOUND', 'ImageVolumeMountFailed: config.mounts[0].image'],
])('%j is refused', (changes, code, text) => {
  expect(() => resolveImageMounts([mount(changes)], images)).toThrow(
    expect.objectContaining({ code, message: expect.stringContaining(text) as string }),
  );
});

test('the layers become an overlay that cannot be written to', () => {
  const [resolved = mount({})] = resolveImageMounts([mount({ image_sub_path: 'etc/conf' })], images);
  expect(imageMount(resolved, '/model', new Map([[id, image.layers]]), '/empty')).toEqual({
    destination: '/model',
    type: 'overlay',
    source: 'overlay',
    options: ['ro', 'nosuid', 'nodev', 'lowerdir+=/layers/top', 'lowerdir+=/layers/bottom', 'x-berth.path=etc/conf'],
  });
});

test('a single layer lies above an empty directory, and none is two of them', () => {
  const [resolved = mount({})] = resolveImageMounts([mount({})], images);
  const layersOf = (...layers: string[]): readonly string[] => imageMount(resolved, '/model', new Map([[id, layers]]), '/empty').options.slice(3);
  expect(layersOf('/layers/only')).toEqual(['lowerdir+=/layers/only', 'lowerdir+=/empty/0']);
  expect(layersOf()).toEqual(['lowerdir+=/empty/0', 'lowerdir+=/empty/1']);
});

test('a place in the container is told to be an image’s, however it was written', () => {
  const mounts = [mount({ container_path: '/a//model/' }), mount({ container_path: '/data', image: null, host_path: '/data' })];
  expect(['/a/model', '/data', '/a'].map((place) => isImageDestination(mounts, place))).toEqual([true, false, false]);
});
