/**
 * What a registry may have of a layer already, so that it need not be sent: the blob that the image was pulled with,
 * and the one that an earlier push of this berthd made.
 */

import { parseReference } from '../reference.ts';
import type { ImageReference } from '../reference.ts';
import type { Descriptor } from '../registry/descriptor.ts';
import type { RemoteLayer } from '../registry/resolve.ts';
import type { ImageStore } from '../store/image-store.ts';

/** Repositories that are asked for one blob. */
const maxSources = 3;
/** Layers remembered; some hundred bytes each. */
const maxRemembered = 10_000;

interface Made {
  readonly descriptor: Descriptor;
  /** `domain/path` of where it was pushed to. */
  readonly repositories: Set<string>;
}

export class KnownBlobs {
  readonly #store: ImageStore;
  /** By diff ID and level, the oldest first. */
  readonly #made = new Map<string, Made>();

  constructor(store: ImageStore) {
    this.#store = store;
  }

  /** Blobs that unpack to the layer: first the image's own, then those that Berth itself has unpacked or made. */
  candidates({ diffId, descriptor }: RemoteLayer, level: number): readonly Descriptor[] {
    const unpacked = this.#store.layers.record(diffId)?.digest;
    const others = this.#store.index.all().flatMap(({ layers }) => layers);
    const verified = others.filter((layer) => layer.diffId === diffId && layer.descriptor.digest === unpacked);
    const made = this.#made.get(key(diffId, level));
    const all = [descriptor, ...verified.map((layer) => layer.descriptor), ...(made === undefined ? [] : [made.descriptor])];
    return [...new Map(all.toReversed().map((candidate) => [candidate.digest, candidate])).values()].toReversed();
  }

  /** Repositories (`library/busybox`) of the destination's registry, other than itself, that should have the blob. */
  repositories(digest: string, destination: ImageReference): readonly string[] {
    const images = this.#store.index.all().filter(({ layers }) => layers.some(({ descriptor }) => descriptor.digest === digest));
    const pulled = images.flatMap(({ names }) => [...names.keys()]).map(parseReference);
    const pushed = [...this.#made.values()].filter(({ descriptor }) => descriptor.digest === digest).flatMap(({ repositories }) => [...repositories]);
    const known = [...pulled, ...pushed.map(parseReference)].filter(({ domain, path }) => domain === destination.domain && path !== destination.path);
    return [...new Set(known.map(({ path }) => path))].slice(0, maxSources);
  }

  /** The destination has the blob, which the layer was compressed into. */
  remember(diffId: string, level: number, descriptor: Descriptor, { domain, path }: ImageReference): void {
    const name = key(diffId, level);
    const made = this.#made.get(name) ?? { descriptor, repositories: new Set() };
    this.#made.delete(name);
    this.#made.set(name, made);
    made.repositories.add(`${domain}/${path}`);
    for (const oldest of this.#made.keys()) {
      if (this.#made.size <= maxRemembered) break;
      this.#made.delete(oldest);
    }
  }
}

function key(diffId: string, level: number): string {
  return `${diffId} ${level}`;
}
