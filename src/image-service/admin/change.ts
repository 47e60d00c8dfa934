/** Images.Tag, Remove and Prune. */

import type { PruneRequest__Output } from '../../cri-server/generated/berth/v1/PruneRequest.ts';
import type { PruneResponse } from '../../cri-server/generated/berth/v1/PruneResponse.ts';
import type { RemoveResponse } from '../../cri-server/generated/berth/v1/RemoveResponse.ts';
import type { TagRequest__Output } from '../../cri-server/generated/berth/v1/TagRequest.ts';
import type { TagResponse } from '../../cri-server/generated/berth/v1/TagResponse.ts';
import { invalidField } from '../../errors/catalogue.ts';
import { isPinned } from '../cri-image.ts';
import type { PinnedImages } from '../cri-image.ts';
import { formatReference, parseReference } from '../reference.ts';
import type { ImageStore } from '../store/image-store.ts';
import { requireImage } from './inspect.ts';

export async function tagImage(store: ImageStore, request: TagRequest__Output): Promise<TagResponse> {
  const image = requireImage(store, request.reference);
  const name = parseReference(request.name);
  if (name.digest !== undefined) throw invalidField('name', 'holds a digest; a digest is what an image is, not what it is called');
  await store.tag(image.id, formatReference(name));
  return { name: formatReference(name) };
}

export async function removeNamed(store: ImageStore, reference: string): Promise<RemoveResponse> {
  const { id, names } = requireImage(store, reference);
  const before = store.usage().bytes;
  await store.remove(reference);
  return { id, names: [...names.keys()], freed_bytes: freed(before, store) };
}

/** Containers and pins keep images; a pull under way keeps its layers. What was put aside as damaged goes, too. */
export async function pruneImages(store: ImageStore, pinned: PinnedImages, request: PruneRequest__Output): Promise<PruneResponse> {
  const before = store.usage().bytes;
  const unused = request.unused_images
    ? store.index.listed().filter((image) => store.users(image.id).size === 0 && !isPinned(image, pinned))
    : [];
  for (const { id } of unused) await store.remove(id);
  await store.endMending();
  await store.settle();
  return { image_ids: unused.map(({ id }) => id), freed_bytes: freed(before, store) };
}

/** A pull may have added to it meanwhile. */
function freed(before: number, store: ImageStore): string {
  return String(Math.max(0, before - store.usage().bytes));
}
