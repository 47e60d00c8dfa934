/** Puts the image service together. */

import type { BerthImageHandlers, ImageHandlers as CriImageHandlers } from '../cri-server/handlers.ts';
import { imageAdminHandlers } from './admin/handlers.ts';
import { FairSlots } from './fair-slots.ts';
import { imageFsInfo } from './fs-info.ts';
import { ImagePuller } from './image-pull.ts';
import type { ImageProvider } from './images.ts';
import { LayerPuller } from './layer-pull.ts';
import { listImages } from './list.ts';
import type { ImageServiceOptions } from './options.ts';
import { createImageProvider } from './provider.ts';
import { pullImage } from './pull.ts';
import { ImagePusher } from './push/image-push.ts';
import { formatReference, parseReference } from './reference.ts';
import { hostPlatform } from './registry/platform.ts';
import { retryPolicy } from './registry/retry.ts';
import type { SessionOptions } from './registry/session.ts';
import { TokenCache } from './registry/token-cache.ts';
import { TrustStore, systemTrust } from './registry/trust-store.ts';
import { removeImage } from './remove.ts';
import { imageStatus } from './status.ts';
import type { ImageStore } from './store/image-store.ts';
import { openImageStore } from './store/open.ts';
import { UnpackServer } from './store/unpack-server.ts';
import { createUnpacker } from './store/unpacker.ts';
import type { Unpacker } from './store/unpacker.ts';
import { streamImages } from './stream-images.ts';

export type ImageHandlers = Pick<CriImageHandlers, 'ListImages' | 'ImageStatus' | 'PullImage' | 'RemoveImage' | 'ImageFsInfo' | 'StreamImages'> & BerthImageHandlers;

/** Compressing takes a processor for each: layers over all pushes, and of one of them. */
const uploadBounds = { total: 4, perOwner: 3 };

/** Milliseconds between the looks at whether what was kept after a damage is to be given up. */
const tidyInterval = 60 * 60_000;

export interface ImageService {
  readonly handlers: ImageHandlers;
  readonly provider: ImageProvider;
  /**
   * Deletes what belongs to no image, container or pull. To be called once after a start, when the
   * runtime service has retained the images of the containers that it found.
   */
  removeUnused(): Promise<void>;
  /** Cancels pulls and waits for what is under way. */
  close(): Promise<void>;
}

/** Opens the store under `options.root`; rejects only when the directory itself is unusable. */
export async function createImageService(options: ImageServiceOptions): Promise<ImageService> {
  const server = unpackServer(options);
  const unpacker = createUnpacker({
    program: options.unpackProgram,
    limits: options.unpackLimits,
    spent: (cpu) => options.metrics?.unpacked(cpu),
    command: server?.run,
  });
  const store = await openImageStore(options.root, unpacker, options.log);
  const layerPuller = createLayerPuller(options, store, unpacker);
  const platform = hostPlatform();
  const session = sessionOptions(options);
  const puller = new ImagePuller({ store, layerPuller, platform, session, log: options.log, metrics: options.metrics });
  const pusher = new ImagePusher({ store, unpacker, session, uploads: new FairSlots(uploadBounds) });
  const pinned = new Set((options.pinnedImages ?? []).map((name) => formatReference(parseReference(name))));
  const tidying = setInterval(() => {
    store.tidy().catch((failure: unknown) => options.log.warn({ err: failure }, 'what a damage left could not be removed'));
  }, tidyInterval).unref();
  return {
    handlers: {
      ListImages: async (request) => listImages(store, pinned, request),
      ImageStatus: async (request) => imageStatus(store, pinned, request),
      PullImage: (request, context) => pullImage(puller, request, context),
      RemoveImage: (request, context) => removeImage(store, request, context),
      ImageFsInfo: () => imageFsInfo(store, options),
      StreamImages: (request) => streamImages(store, pinned, request),
      ...imageAdminHandlers({ store, puller, pusher, layerPuller, unpacker, platform, pinned }),
    },
    provider: createImageProvider(store),
    async removeUnused() {
      const layers = await store.removeUnused();
      if (layers.length > 0) options.log.info({ layers: layers.length }, 'removed layers that belonged to nothing');
    },
    async close() {
      clearInterval(tidying);
      await puller.close();
      await store.close();
      await server?.close();
    },
  };
}

function unpackServer({ unpackProgram: program, unpackSocket: socket, log }: ImageServiceOptions): UnpackServer | undefined {
  return socket === undefined ? undefined : new UnpackServer({ program, socket, log });
}

function createLayerPuller({ registry, metrics }: ImageServiceOptions, store: ImageStore, unpacker: Unpacker): LayerPuller {
  return new LayerPuller({
    layers: store.layers,
    unpacker,
    retry: retryPolicy(registry),
    downloads: new FairSlots({ total: registry.maxConcurrentDownloads, perOwner: registry.maxConcurrentPerPull }),
    unpacks: new FairSlots({ total: registry.maxConcurrentUnpacks, perOwner: registry.maxConcurrentPerPull }),
    metrics,
  });
}

function sessionOptions({ registry, clock, environment }: ImageServiceOptions): SessionOptions {
  return {
    configDir: registry.configDir,
    dockerCertsDir: registry.dockerCertsDir,
    authFile: registry.authFile,
    retry: retryPolicy(registry),
    tokens: new TokenCache(clock),
    trust: new TrustStore(systemTrust(environment ?? process.env)),
    progressTimeout: registry.progressTimeoutSeconds * 1000,
    environment: environment ?? process.env,
  };
}
