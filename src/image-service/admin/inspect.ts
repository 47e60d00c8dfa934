/** Images.Inspect: everything the store knows of an image. */

import type { InspectResponse } from '../../cri-server/generated/berth/v1/InspectResponse.ts';
import { BerthError } from '../../errors/catalogue.ts';
import { hasTar } from '../archive/layer-tar.ts';
import { isPinned } from '../cri-image.ts';
import type { PinnedImages } from '../cri-image.ts';
import type { ImageStore } from '../store/image-store.ts';
import type { StoredImage } from '../store/stored-image.ts';

/** Throws IMAGE_NOT_FOUND. */
export function requireImage(store: ImageStore, reference: string): StoredImage {
  const image = store.index.find(reference);
  if (image === undefined) throw new BerthError('IMAGE_NOT_FOUND', `image "${reference}" is not on this node`);
  return image;
}

export function inspectImage(store: ImageStore, pinned: PinnedImages, reference: string): InspectResponse {
  const image = requireImage(store, reference);
  return {
    id: image.id,
    names: [...image.names.keys()],
    pinned: isPinned(image, pinned),
    users: [...store.users(image.id)],
    manifest_digest: image.manifest.digest,
    config: JSON.stringify(image.imageConfig.document),
    layers: image.layers.map(({ descriptor, diffId }) => {
      const record = store.layers.record(diffId);
      return {
        diff_id: diffId,
        digest: descriptor.digest,
        size: String(descriptor.size),
        unpacked_bytes: String(record?.unpackedBytes ?? 0),
        inodes: String(record?.inodes ?? 0),
        exportable: hasTar(store, diffId),
      };
    }),
  };
}
