/** The service Images of proto/berth/v1: what operators do with images beyond CRI. */

import type { BerthImageHandlers } from '../../cri-server/handlers.ts';
import type { ImportRequest__Output } from '../../cri-server/generated/berth/v1/ImportRequest.ts';
import { invalidField } from '../../errors/catalogue.ts';
import { exportImages } from '../archive/export.ts';
import { importArchive } from '../archive/import.ts';
import type { PinnedImages } from '../cri-image.ts';
import type { ImagePuller } from '../image-pull.ts';
import type { LayerPuller } from '../layer-pull.ts';
import type { ImagePusher } from '../push/image-push.ts';
import type { Platform } from '../registry/platform.ts';
import type { ImageStore } from '../store/image-store.ts';
import type { Unpacker } from '../store/unpacker.ts';
import { pruneImages, removeNamed, tagImage } from './change.ts';
import { inspectImage } from './inspect.ts';
import { watchedPull } from './pull.ts';
import { watchedPush } from './push.ts';
import { verifyLayers } from './verify.ts';

export interface AdminParts {
  readonly store: ImageStore;
  readonly puller: ImagePuller;
  readonly pusher: ImagePusher;
  readonly layerPuller: LayerPuller;
  readonly unpacker: Unpacker;
  readonly platform: Platform;
  readonly pinned: PinnedImages;
}

export function imageAdminHandlers(parts: AdminParts): BerthImageHandlers {
  const { store, pinned } = parts;
  return {
    Pull: (request, context) => watchedPull(parts.puller, request, context),
    Push: (request, context) => watchedPush(store, parts.pusher, request, context),
    Inspect: async ({ reference }) => inspectImage(store, pinned, reference),
    Tag: (request) => tagImage(store, request),
    Remove: ({ reference }) => removeNamed(store, reference),
    Prune: (request) => pruneImages(store, pinned, request),
    Verify: ({ reference }, { signal }) => verifyLayers(store, parts.unpacker, reference, signal),
    Import: async (requests, { signal, log }) => {
      const { name, data } = await firstOf(requests);
      const images = await importArchive(parts, data, name, signal);
      for (const { id, names } of images) log.info({ image: [...names.keys()][0], id }, 'image imported');
      return { images: images.map(({ id, names }) => ({ id, names: [...names.keys()] })) };
    },
    async *Export({ references }, { signal }) {
      if (references.length === 0) throw invalidField('references', 'is empty; name at least one image');
      for await (const piece of exportImages(parts, references, signal)) yield { data: piece };
    },
  };
}

/** The name from the first message, and the data of all of them. */
async function firstOf(requests: AsyncIterable<ImportRequest__Output>): Promise<{ readonly name: string; readonly data: AsyncIterable<Buffer> }> {
  const messages = requests[Symbol.asyncIterator]();
  const first = await messages.next();
  if (first.done === true) return { name: '', data: (async function* () {})() };
  const data = async function* (): AsyncGenerator<Buffer, void, undefined> {
    for (let next: IteratorResult<ImportRequest__Output> = first; next.done !== true; next = await messages.next()) yield next.value.data;
  };
  return { name: first.value.name, data: data() };
}
