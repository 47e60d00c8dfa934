import { join } from 'node:path';
import type { Mount__Output } from '../../cri-server/generated/runtime/v1/Mount.ts';
import { BerthError, invalidField } from '../../errors/catalogue.ts';
import type { ImageProvider } from '../../image-service/images.ts';
import { normalise } from './container-path.ts';
import type { OciMount } from './oci-mount.ts';

/** Image id → its unpacked layers, topmost first. */
export type MountedImages = ReadonlyMap<string, readonly string[]>;

export function isImageMount(mount: Mount__Output): boolean {
  return mount.image !== null && mount.image.image !== '';
}

/**
 * Checks the mounts of images and says in each which image it is, by id (`image_ref`, what PullImage
 * answered). Throws INVALID_FIELD or IMAGE_NOT_FOUND.
 */
export function resolveImageMounts(requested: readonly Mount__Output[], images: ImageProvider): Mount__Output[] {
  return requested.map((mount, index) => {
    if (mount.image === null || !isImageMount(mount)) return mount;
    const field = `config.mounts[${index}]`;
    checkImageMount(mount, field);
    const image = images.resolve(mount.image.image);
    if (image === undefined) {
      throw new BerthError('IMAGE_NOT_FOUND', `${imageMountFailed}: ${field}.image: image "${mount.image.image}" is not on this node`);
    }
    return { ...mount, image: { ...mount.image, image_ref: image.id } };
  });
}

/** The kubelet tells what went wrong by how the message begins (k8s.io/cri-api/pkg/errors). */
export const imageMountFailed = 'ImageVolumeMountFailed';

/** Whether `destination` is where an image is to be mounted. */
export function isImageDestination(mounts: readonly Mount__Output[], destination: string): boolean {
  return mounts.some((mount) => isImageMount(mount) && normalise(mount.container_path) === destination);
}

function checkImageMount(mount: Mount__Output, field: string): void {
  if (!mount.readonly) throw invalidField(`${field}.readonly`, 'is false, but an image can be mounted read-only alone');
  if (mount.host_path !== '') throw invalidField(`${field}.host_path`, 'is set beside an image; give one of the two');
  if (mount.propagation !== 'PROPAGATION_PRIVATE') throw invalidField(`${field}.propagation`, 'of an image can be private alone');
  const { image_sub_path: path } = mount;
  if (path.startsWith('/') || path.split('/').includes('..')) {
    throw invalidField(`${field}.image_sub_path`, `"${path}" is not a path within the image`);
  }
}

/** Ids of the images that a container mounts; without repetitions. */
export function mountedImageIds(mounts: readonly Mount__Output[]): readonly string[] {
  return [...new Set(mounts.filter(isImageMount).map(({ image }) => image?.image_ref ?? ''))].filter((id) => id !== '');
}

/** Directories without content. The kernel makes no overlay of less than two, nor of one and the same twice. */
export function emptyLayers(empty: string): readonly [string, string] {
  return [join(empty, '0'), join(empty, '1')];
}

/** The mount as the shim understands it. For `empty` see `emptyLayers`. */
export function imageMount(mount: Mount__Output, destination: string, images: MountedImages, empty: string): OciMount {
  const layers = images.get(mount.image?.image_ref ?? '') ?? [];
  const path = mount.image_sub_path === '' ? [] : [`x-berth.path=${mount.image_sub_path}`];
  const lower = layers.length > 1 ? layers : [...layers, ...emptyLayers(empty)].slice(0, 2);
  return {
    destination,
    type: 'overlay',
    source: 'overlay',
    options: ['ro', 'nosuid', 'nodev', ...lower.map((layer) => `lowerdir+=${layer}`), ...path],
  };
}
