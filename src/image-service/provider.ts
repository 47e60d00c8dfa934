/** The image service as the runtime service sees it. */

import type { ImageProvider, ResolvedImage } from './images.ts';
import type { ImageStore } from './store/image-store.ts';
import { isTag } from './store/stored-image.ts';

export function createImageProvider(store: ImageStore): ImageProvider {
  return {
    resolve(reference): ResolvedImage | undefined {
      const image = store.index.find(reference);
      if (image === undefined) return undefined;
      const names = [...image.names.keys()];
      return {
        id: image.id,
        repoTags: names.filter(isTag),
        repoDigests: names.filter((name) => !isTag(name)),
        config: image.imageConfig.run,
        layers: topmostFirst(image.layers.map(({ diffId }) => diffId)).map((diffId) => store.layers.tree(diffId)),
      };
    },
    retain: (imageId, holder, layers) => store.retain(imageId, holder, layers),
    release: (imageId, holder) => store.release(imageId, holder),
  };
}

/**
 * A layer that occurs twice counts where it is topmost: everything its lower occurrence could show is
 * covered by the upper one, and overlay refuses the same directory twice with ELOOP.
 */
export function topmostFirst(diffIds: readonly string[]): readonly string[] {
  return [...new Set(diffIds.toReversed())];
}
