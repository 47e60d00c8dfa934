/** StreamImages: ListImages in as many messages as it takes. */

import type { ListImagesRequest__Output } from '../cri-server/generated/runtime/v1/ListImagesRequest.ts';
import type { StreamImagesResponse } from '../cri-server/generated/runtime/v1/StreamImagesResponse.ts';
import type { PinnedImages } from './cri-image.ts';
import { listImages } from './list.ts';
import type { ImageStore } from './store/image-store.ts';

/** A message stays far below what a client takes (16 MiB), also where images have many tags and digests. */
const imagesPerMessage = 64;

export async function* streamImages(store: ImageStore, pinned: PinnedImages, request: ListImagesRequest__Output): AsyncGenerator<StreamImagesResponse> {
  const { images = [] } = listImages(store, pinned, request);
  for (let at = 0; at < images.length; at += imagesPerMessage) yield { images: images.slice(at, at + imagesPerMessage) };
}
