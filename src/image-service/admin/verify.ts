/** Images.Verify: whether the contents of the layers' files are still what was pulled. */

import { createHash } from 'node:crypto';
import type { VerifyResult } from '../../cri-server/generated/berth/v1/VerifyResult.ts';
import { BerthError } from '../../errors/catalogue.ts';
import type { ImageStore } from '../store/image-store.ts';
import type { StoredImage } from '../store/stored-image.ts';
import type { Unpacker } from '../store/unpacker.ts';
import { requireImage } from './inspect.ts';

/** One layer after the other: a check in the background is not to take the disk from the containers. */
export async function* verifyLayers(store: ImageStore, unpacker: Unpacker, reference: string, signal: AbortSignal): AsyncGenerator<VerifyResult, void, undefined> {
  const images = reference === '' ? store.index.listed() : [requireImage(store, reference)];
  for (const [diffId, image] of layersOf(images)) {
    const names = [...image.names.keys()];
    if ((store.layers.record(diffId)?.skeletonBytes ?? 0) === 0) {
      yield { diff_id: diffId, names, verifiable: false, problem: 'it has no skeleton to verify it by' };
      continue;
    }
    yield { diff_id: diffId, names, verifiable: true, problem: await problemOf(store, unpacker, diffId, signal) };
  }
}

function layersOf(images: readonly StoredImage[]): ReadonlyMap<string, StoredImage> {
  return new Map(images.flatMap((image) => image.layers.map(({ diffId }) => [diffId, image] as const)));
}

async function problemOf(store: ImageStore, unpacker: Unpacker, diffId: string, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  try {
    for await (const chunk of unpacker.pack(store.layers.place(diffId), `layer ${diffId}`, signal)) hash.update(chunk);
  } catch (failure) {
    signal.throwIfAborted();
    if (failure instanceof BerthError) return failure.message;
    throw failure;
  }
  const actual = `sha256:${hash.digest('hex')}`;
  return actual === diffId ? '' : `its tar has the digest ${actual}`;
}
