/** The image service as the runtime service sees it. */

import type { ImageProvider, ResolvedImage } from './images.ts';
import type { ImageStore } from './store/image-store.ts';
import { allLayers, topmostFirst } from './store/directories-layer.ts';
import { isTag } from './store/stored-image.ts';

export function createImageProvider(store: ImageStore): ImageProvider {
  return {
    resolve(reference): ResolvedImage | undefined {
      const image = store.index.find(reference);
      if (image === undefined) return undefined;
      const names = [...image.names.keys()];
      const diffIds = allLayers(store.layers, image.layers.map(({ diffId }) => diffId));
      return {
        id: image.id,
        repoTags: names.filter(isTag),
        repoDigests: names.filter((name) => !isTag(name)),
        config: image.imageConfig.run,
        layers: topmostFirst(diffIds).map((diffId) => store.layers.tree(diffId)),
      };
    },
    retain: (imageId, holder, layers) => store.retain(imageId, holder, layers),
    release: (imageId, holder) => store.release(imageId, holder),
  };
}
