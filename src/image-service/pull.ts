/** PullImage: answers with the image's id, which is the same in every other call. */

import { invalidField } from '../errors/catalogue.ts';
import type { PullImageRequest__Output } from '../cri-server/generated/runtime/v1/PullImageRequest.ts';
import type { PullImageResponse } from '../cri-server/generated/runtime/v1/PullImageResponse.ts';
import type { CallContext } from '../telemetry/call-context.ts';
import type { ImagePuller } from './image-pull.ts';
import { formatReference, parseReference } from './reference.ts';
import { parseAuthConfig } from './registry/credentials.ts';

export async function pullImage(
  puller: ImagePuller,
  request: PullImageRequest__Output,
  context: CallContext,
): Promise<PullImageResponse> {
  const text = request.image?.image ?? '';
  if (text === '') throw invalidField('image.image', 'is empty; give a reference');
  const reference = parseReference(text);
  const auth = parseAuthConfig(request.auth);
  const image = await puller.pull(reference, auth, context.signal);
  context.log.info({ image: formatReference(reference), id: image.id, layers: image.layers.length }, 'image pulled');
  return { image_ref: image.id };
}
