/** ListImages: from memory. */

import type { ListImagesRequest__Output } from '../cri-server/generated/runtime/v1/ListImagesRequest.ts';
import type { ListImagesResponse } from '../cri-server/generated/runtime/v1/ListImagesResponse.ts';
import { criImage } from './cri-image.ts';
import type { PinnedImages } from './cri-image.ts';
import type { ImageStore } from './store/image-store.ts';
import type { StoredImage } from './store/stored-image.ts';

export function listImages(store: ImageStore, pinned: PinnedImages, request: ListImagesRequest__Output): ListImagesResponse {
  const wanted = request.filter?.image?.image ?? '';
  return { images: matching(store, wanted).map((image) => criImage(image, pinned)) };
}

/** The filter holds one image in any form of reference; empty selects all. */
function matching(store: ImageStore, wanted: string): readonly StoredImage[] {
  if (wanted === '') return store.index.listed();
  const image = store.index.find(wanted);
  return image === undefined ? [] : [image];
}
