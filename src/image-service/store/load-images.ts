/** Rebuilds the images from the index and the documents it names. */

import { readBlob } from './blob-store.ts';
import { parseImageConfig } from '../image-config.ts';
import { parseManifest } from '../registry/manifest.ts';
import { protocolError } from '../registry/descriptor.ts';
import type { IndexEntry } from './index-file.ts';
import { allLayers } from './directories-layer.ts';
import type { LayerStore } from './layer-store.ts';
import type { StorePaths } from './paths.ts';
import type { ImageName, StoredImage } from './stored-image.ts';

export interface LoadedImages {
  readonly images: readonly StoredImage[];
  readonly bad: readonly { readonly entry: IndexEntry; readonly reason: Error }[];
}

/**
 * An image whose layers are not all there loses its names, so that it is pulled again when needed;
 * the layers it still has stay while a container uses them.
 */
export async function loadImages(paths: StorePaths, entries: readonly IndexEntry[], layers: LayerStore): Promise<LoadedImages> {
  const images = new Map<string, StoredImage>();
  const bad: { entry: IndexEntry; reason: Error }[] = [];
  for (const entry of entries) {
    try {
      const image = await loadImage(paths, entry);
      const missing = allLayers(layers, image.layers.map(({ diffId }) => diffId)).find((diffId) => !layers.has(diffId));
      const known = images.get(image.id);
      const named = missing === undefined && entry.name !== undefined ? [[entry.name, nameOf(entry)] as const] : [];
      images.set(image.id, { ...(known ?? image), names: new Map([...(known?.names ?? []), ...named]) });
      if (missing !== undefined) bad.push({ entry, reason: protocolError(image.id, `its layer ${missing} is missing`) });
    } catch (reason) {
      bad.push({ entry, reason: reason instanceof Error ? reason : new Error(String(reason)) });
    }
  }
  return { images: [...images.values()], bad };
}

function nameOf({ target, manifest }: IndexEntry): ImageName {
  return { target, manifest };
}

async function loadImage(paths: StorePaths, entry: IndexEntry): Promise<StoredImage> {
  const what = entry.name ?? entry.manifest.digest;
  const manifest = parseManifest(await readBlob(paths, entry.manifest), entry.manifest.mediaType, what);
  if (manifest.kind !== 'manifest') throw protocolError(what, 'an index stands in the place of its manifest');
  const imageConfig = parseImageConfig(await readBlob(paths, manifest.config), what);
  if (imageConfig.diffIds.length !== manifest.layers.length) throw protocolError(what, 'manifest and config differ in their layers');
  return {
    id: manifest.config.digest,
    manifest: entry.manifest,
    config: manifest.config,
    layers: manifest.layers.map((descriptor, position) => ({ descriptor, diffId: imageConfig.diffIds[position] ?? '' })),
    imageConfig,
    annotations: manifest.annotations,
    names: new Map(),
  };
}
