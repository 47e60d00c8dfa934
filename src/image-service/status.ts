/** ImageStatus: from memory. An image that is not present is a response without image, as the CRI says. */

import { invalidField } from '../errors/catalogue.ts';
import type { ImageStatusRequest__Output } from '../cri-server/generated/runtime/v1/ImageStatusRequest.ts';
import type { ImageStatusResponse } from '../cri-server/generated/runtime/v1/ImageStatusResponse.ts';
import { criImage } from './cri-image.ts';
import type { PinnedImages } from './cri-image.ts';
import type { ImageStore } from './store/image-store.ts';
import type { StoredImage } from './store/stored-image.ts';

export function imageStatus(store: ImageStore, pinned: PinnedImages, request: ImageStatusRequest__Output): ImageStatusResponse {
  const reference = request.image?.image ?? '';
  if (reference === '') throw invalidField('image.image', 'is empty; give a reference or an id');
  const image = store.index.find(reference);
  if (image === undefined) return { image: null, info: {} };
  const message = criImage(image, pinned);
  const userSpecified = request.image?.user_specified_image ?? '';
  const spec = { ...message.spec, user_specified_image: userSpecified };
  return {
    image: { ...message, spec },
    info: request.verbose ? { info: JSON.stringify(verboseInfo(store, image)) } : {},
  };
}

/** `imageSpec` is the image config as it was pulled; `layers` are bottom first, sizes in bytes. */
function verboseInfo(store: ImageStore, image: StoredImage): unknown {
  return {
    imageSpec: image.imageConfig.document,
    manifest: image.manifest,
    names: Object.fromEntries([...image.names].map(([name, { target }]) => [name, target.digest])),
    layers: image.layers.map(({ descriptor, diffId }) => ({
      digest: descriptor.digest,
      diffId,
      mediaType: descriptor.mediaType,
      size: descriptor.size,
      unpackedBytes: store.layers.record(diffId)?.unpackedBytes,
      inodes: store.layers.record(diffId)?.inodes,
      path: store.layers.has(diffId) ? store.layers.tree(diffId) : undefined,
    })),
  };
}
