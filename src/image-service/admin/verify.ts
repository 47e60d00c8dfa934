/** Images.Verify: whether the contents of the layers' files are still what was pulled. */

import { createHash } from 'node:crypto';
import type { VerifyResult } from '../../cri-server/generated/berth/v1/VerifyResult.ts';
import { BerthError } from '../../errors/catalogue.ts';
import { hasTar } from '../archive/layer-tar.ts';
import type { ImageStore } from '../store/image-store.ts';
import type { StoredImage } from '../store/stored-image.ts';
import type { Unpacker } from '../store/unpacker.ts';
import { requireImage } from './inspect.ts';

let verifications = 0;

/**
 * One layer after the other: a check in the background is not to take the disk from the containers. A layer that is
 * not what was pulled is given up, and pulled again when one of its images is next needed.
 */
export async function* verifyLayers(store: ImageStore, unpacker: Unpacker, reference: string, signal: AbortSignal): AsyncGenerator<VerifyResult, void, undefined> {
  const images = reference === '' ? store.index.listed() : [requireImage(store, reference)];
  verifications += 1;
  const holder = `verify:${verifications}`;
  const layers = layersOf(images);
  // So that what is found is about these very layers, and not about some that took their place.
  for (const diffId of layers.keys()) store.layers.hold(diffId, holder);
  try {
    for (const [diffId, image] of layers) yield await verifyLayer(store, unpacker, diffId, [...image.names.keys()], signal);
  } finally {
    store.layers.release(holder);
    await store.removeUnused();
  }
}

async function verifyLayer(store: ImageStore, unpacker: Unpacker, diffId: string, names: string[], signal: AbortSignal): Promise<VerifyResult> {
  if (!hasTar(store, diffId)) {
    return { diff_id: diffId, names, verifiable: false, problem: 'it has no skeleton to verify it by' };
  }
  const { problem, damaged } = await problemOf(store, unpacker, diffId, signal);
  if (damaged) await store.distrust(diffId, problem);
  return { diff_id: diffId, names, verifiable: true, problem };
}

function layersOf(images: readonly StoredImage[]): ReadonlyMap<string, StoredImage> {
  return new Map(images.flatMap((image) => image.layers.map(({ diffId }) => [diffId, image] as const)));
}

/** `damaged`: it is the layer's fault, and not that of a machine which could not look. */
async function problemOf(store: ImageStore, unpacker: Unpacker, diffId: string, signal: AbortSignal): Promise<{ readonly problem: string; readonly damaged: boolean }> {
  const hash = createHash('sha256');
  try {
    for await (const chunk of unpacker.pack(store.layers.place(diffId), `layer ${diffId}`, signal)) hash.update(chunk);
  } catch (failure) {
    signal.throwIfAborted();
    if (failure instanceof BerthError) return { problem: failure.message, damaged: failure.code === 'LAYER_DAMAGED' };
    throw failure;
  }
  const actual = `sha256:${hash.digest('hex')}`;
  return actual === diffId ? { problem: '', damaged: false } : { problem: `its tar has the digest ${actual}`, damaged: true };
}
