/** A stored layer as the tar that it came as. */

import { createHash } from 'node:crypto';
import { BerthError } from '../../errors/catalogue.ts';
import { digestHex } from '../digest.ts';
import type { ImageStore } from '../store/image-store.ts';
import type { Unpacker } from '../store/unpacker.ts';

export interface TarParts {
  readonly store: ImageStore;
  readonly unpacker: Unpacker;
}

/** False: the store cannot make this layer's tar again. */
export function hasTar(store: ImageStore, diffId: string): boolean {
  return (store.layers.record(diffId)?.skeletonBytes ?? 0) > 0;
}

/**
 * The tar, in pieces. Throws DIGEST_MISMATCH behind the last one when it is not what was pulled, LAYER_DAMAGED where it
 * cannot be read; the store then pulls the layer again when it is next needed.
 */
export async function* layerTar({ store, unpacker }: TarParts, diffId: string, signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
  const what = `layer ${diffId}`;
  const hash = createHash('sha256');
  try {
    for await (const chunk of unpacker.pack(store.layers.place(diffId), what, signal)) {
      hash.update(chunk);
      yield chunk;
    }
  } catch (failure) {
    if (failure instanceof BerthError && failure.code === 'LAYER_DAMAGED') await store.distrust(diffId, failure.message);
    throw failure;
  }
  const actual = hash.digest('hex');
  if (actual === digestHex(diffId)) return;
  const problem = `the tree on disk is not what was pulled: its tar has the digest sha256:${actual}`;
  await store.distrust(diffId, problem);
  throw new BerthError('DIGEST_MISMATCH', `${what}: ${problem}`);
}
