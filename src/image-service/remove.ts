/**
 * RemoveImage. CRI: "This call is idempotent, and must not return an error if the image has already
 * been removed." One name, or the id, removes the image with all its names. Containers that use it
 * keep its layers until they are gone.
 */

import { invalidField } from '../errors/catalogue.ts';
import type { RemoveImageRequest__Output } from '../cri-server/generated/runtime/v1/RemoveImageRequest.ts';
import type { RemoveImageResponse } from '../cri-server/generated/runtime/v1/RemoveImageResponse.ts';
import type { CallContext } from '../telemetry/call-context.ts';
import type { ImageStore } from './store/image-store.ts';

export async function removeImage(
  store: ImageStore,
  request: RemoveImageRequest__Output,
  context: CallContext,
): Promise<RemoveImageResponse> {
  const reference = request.image?.image ?? '';
  if (reference === '') throw invalidField('image.image', 'is empty; give a reference or an id');
  context.signal.throwIfAborted();
  const removed = await store.remove(reference);
  context.log.info({ image: reference, removed }, removed ? 'image removed' : 'image was not present');
  return {};
}
