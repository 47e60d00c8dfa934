/** The images in memory, found by any form of reference. Changed only by `ImageStore`. */

import { BerthError } from '../../errors/catalogue.ts';
import { formatReference, parseReference } from '../reference.ts';
import type { StoredImage } from './stored-image.ts';

export class ImageIndex {
  readonly #byId: ReadonlyMap<string, StoredImage>;
  readonly #byName = new Map<string, StoredImage>();

  constructor(images: Iterable<StoredImage>) {
    this.#byId = new Map([...images].map((image) => [image.id, image]));
    for (const image of this.#byId.values()) {
      for (const name of image.names.keys()) this.#byName.set(name, image);
    }
  }

  /** Also images without names. */
  all(): readonly StoredImage[] {
    return [...this.#byId.values()];
  }

  /** What clients may see: images that have a name. */
  listed(): readonly StoredImage[] {
    return this.all().filter((image) => image.names.size > 0);
  }

  byId(id: string): StoredImage | undefined {
    return this.#byId.get(id);
  }

  /**
   * An id, a name in any form, or an unambiguous prefix of an id, in this order: a name that looks
   * like the beginning of an id is the name.
   */
  find(reference: string): StoredImage | undefined {
    const hex = /^(?:sha256:)?([0-9a-f]{1,64})$/.exec(reference)?.[1];
    if (hex?.length === 64) return this.#visible(this.#byId.get(`sha256:${hex}`));
    const named = this.#byName.get(fullName(reference) ?? '');
    if (named !== undefined || hex === undefined) return named;
    const matches = this.listed().filter((image) => image.id.startsWith(`sha256:${hex}`));
    if (matches.length > 1) {
      throw new BerthError('AMBIGUOUS_ID', `image id "${reference}" is the beginning of ${matches.length} ids`);
    }
    return matches[0];
  }

  #visible(image: StoredImage | undefined): StoredImage | undefined {
    return image !== undefined && image.names.size > 0 ? image : undefined;
  }
}

/** Undefined for what is no reference: nothing is stored under such a name. */
function fullName(reference: string): string | undefined {
  try {
    return formatReference(parseReference(reference));
  } catch (failure) {
    if (failure instanceof BerthError && failure.code === 'INVALID_REFERENCE') return undefined;
    throw failure;
  }
}
