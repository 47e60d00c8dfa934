/** One image as the store knows it. */

import type { ImageConfig } from '../image-config.ts';
import type { Descriptor } from '../registry/descriptor.ts';
import type { RemoteImage, RemoteLayer } from '../registry/resolve.ts';
import type { IndexEntry } from './index-file.ts';

export interface StoredImage {
  /** The config's digest. */
  readonly id: string;
  readonly manifest: Descriptor;
  readonly config: Descriptor;
  readonly layers: readonly RemoteLayer[];
  readonly imageConfig: ImageConfig;
  /** The manifest's. */
  readonly annotations: Readonly<Record<string, string>>;
  /** Full references → what each stands for. Empty for an image that was removed while in use. */
  readonly names: ReadonlyMap<string, ImageName>;
}

export interface ImageName {
  readonly target: Descriptor;
  readonly manifest: Descriptor;
}

/** The image, known by `names` (of one pull). */
export function storedImage(remote: RemoteImage, names: readonly string[]): StoredImage {
  const { manifest, config, layers, imageConfig, annotations, target } = remote;
  return {
    id: config.digest,
    manifest,
    config,
    layers,
    imageConfig,
    annotations,
    names: new Map(names.map((name) => [name, { target, manifest }])),
  };
}

export function withNames(image: StoredImage, names: ReadonlyMap<string, ImageName>): StoredImage {
  return { ...image, names };
}

/** Bytes as they are in the registry: manifest, config and compressed layers. */
export function packedSize(image: StoredImage): number {
  return image.layers.reduce((sum, layer) => sum + layer.descriptor.size, image.manifest.size + image.config.size);
}

/** Everything under blobs/ that the image needs. */
export function documentsOf(image: StoredImage): ReadonlySet<string> {
  const digests = new Set([image.manifest.digest, image.config.digest]);
  for (const { target, manifest } of image.names.values()) digests.add(target.digest).add(manifest.digest);
  return digests;
}

export function indexEntries(images: Iterable<StoredImage>): readonly IndexEntry[] {
  const entries: IndexEntry[] = [];
  for (const image of images) {
    for (const [name, { target, manifest }] of image.names) entries.push({ name, target, manifest });
    if (image.names.size === 0) entries.push({ name: undefined, target: image.manifest, manifest: image.manifest });
  }
  return entries;
}

export function isTag(name: string): boolean {
  return !name.includes('@');
}
