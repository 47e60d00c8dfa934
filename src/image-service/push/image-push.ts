/** One push from a stored image to a tag of a registry. The store is only read. */

import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { BerthError, wrapError } from '../../errors/catalogue.ts';
import type { FairSlots } from '../fair-slots.ts';
import { formatReference } from '../reference.ts';
import type { ImageReference } from '../reference.ts';
import type { PullAuth } from '../registry/credentials.ts';
import type { Descriptor } from '../registry/descriptor.ts';
import { RegistryFailure } from '../registry/failure.ts';
import type { PushClient } from '../registry/push-client.ts';
import { openPushClient } from '../registry/push-session.ts';
import type { StoredDocument } from '../registry/resolve.ts';
import { withRetries } from '../registry/retry.ts';
import type { SessionOptions } from '../registry/session.ts';
import { Upload } from '../registry/upload.ts';
import { readBlob } from '../store/blob-store.ts';
import type { ImageStore } from '../store/image-store.ts';
import type { StoredImage } from '../store/stored-image.ts';
import type { Unpacker } from '../store/unpacker.ts';
import { together } from '../together.ts';
import { KnownBlobs } from './known-blobs.ts';
import { pushLayer } from './layer-push.ts';
import type { PushedLayerWatch } from './layer-push.ts';
import { pushedManifest } from './pushed-manifest.ts';

export interface ImagePushOptions {
  readonly store: ImageStore;
  readonly unpacker: Unpacker;
  readonly session: SessionOptions;
  /** Layers that are compressed or sent at the same time, over all pushes. */
  readonly uploads: FairSlots;
}

export interface PushRequest {
  readonly image: StoredImage;
  /** Has a tag. */
  readonly destination: ImageReference;
  readonly auth: PullAuth | undefined;
  /** Of gzip, 1 to 9. */
  readonly level: number;
}

/** How far a push is. */
export interface PushWatch {
  /** Bottom first. */
  readonly layers: readonly PushedLayerWatch[];
}

/** What one push works with. */
interface Running extends PushRequest {
  readonly client: PushClient;
  readonly directory: string;
  readonly holder: string;
  readonly name: string;
}

export class ImagePusher {
  readonly #options: ImagePushOptions;
  readonly #known: KnownBlobs;
  #pushes = 0;

  constructor(options: ImagePushOptions) {
    this.#options = options;
    this.#known = new KnownBlobs(options.store);
  }

  /**
   * Ends with the digest of the manifest that the tag stands for. `watched` is called at once, with what the push keeps
   * up to date. What a failed push has sent is in the registry, which removes what no manifest names.
   */
  async push(request: PushRequest, signal: AbortSignal, watched?: (watch: PushWatch) => void): Promise<string> {
    signal.throwIfAborted();
    const { store, session } = this.#options;
    const name = formatReference(request.destination);
    this.#pushes += 1;
    const holder = `push:${this.#pushes}`;
    for (const { diffId } of request.image.layers) store.layers.hold(diffId, holder);
    const watches = new Map(request.image.layers.map(({ diffId }) => [diffId, newWatch(diffId)]));
    watched?.({ layers: [...watches.values()] });
    let directory: string | undefined;
    let client: PushClient | undefined;
    try {
      // What a crash leaves there goes at the next start.
      directory = await mkdtemp(join(store.paths.staging, 'push-'));
      client = await openPushClient(request.destination, request.auth, session, signal);
      return await this.#run({ ...request, client, directory, holder, name }, watches, signal);
    } catch (cause) {
      if (signal.aborted || cause instanceof BerthError) throw cause;
      throw wrapError(`push ${name}`, cause);
    } finally {
      await client?.close();
      if (directory !== undefined) await rm(directory, { recursive: true, force: true });
      store.layers.release(holder);
      // The image may have been removed meanwhile.
      await store.removeUnused();
    }
  }

  async #run(push: Running, watches: ReadonlyMap<string, PushedLayerWatch>, signal: AbortSignal): Promise<string> {
    const { image, name } = push;
    const config: StoredDocument = { descriptor: image.config, content: await readBlob(this.#options.store.paths, image.config) };
    const diffIds = [...watches.keys()];
    const pushed = await together([...watches.values()], signal, (watch, _, either) => this.#pushLayer(push, watch, either));
    const byDiffId = new Map(diffIds.map((diffId, position) => [diffId, pushed[position]]));
    await this.#pushDocument(push, config, `${name}: image config`, signal);
    const layers = image.layers.map(({ diffId, descriptor }) => byDiffId.get(diffId) ?? descriptor);
    const manifest = await pushedManifest(this.#options.store.paths, image, layers);
    const { client, destination } = push;
    const put = (): Promise<void> => client.putManifest(destination.tag ?? 'latest', manifest.content, manifest.descriptor, { what: `${name}: manifest`, signal });
    await withRetries(this.#options.session.retry, false, signal, put);
    return manifest.descriptor.digest;
  }

  async #pushLayer(push: Running, watch: PushedLayerWatch, signal: AbortSignal): Promise<Descriptor> {
    const layer = push.image.layers.find(({ diffId }) => diffId === watch.diffId);
    if (layer === undefined) throw new BerthError('INTERNAL', `${push.name}: layer ${watch.diffId} is not one of the image`);
    const { store, unpacker, session, uploads } = this.#options;
    const release = await uploads.acquire(push.holder, signal);
    try {
      const parts = { ...push, store, unpacker, known: this.#known, retry: session.retry };
      return await pushLayer(parts, { layer, watch, what: `${push.name}: layer ${watch.diffId}` }, signal);
    } catch (failure) {
      throw withRemedy(failure);
    } finally {
      release();
    }
  }

  async #pushDocument({ client }: Running, { descriptor, content }: StoredDocument, what: string, signal: AbortSignal): Promise<void> {
    const { retry } = this.#options.session;
    if (await withRetries(retry, false, signal, () => client.hasBlob(descriptor, { what, signal }))) return;
    const read = async function* (from: number, to: number): AsyncGenerator<Buffer, void, undefined> {
      yield content.subarray(from, to);
    };
    await new Upload(client, { ...descriptor, read }, undefined, { retry, what }).run(signal).catch((failure: unknown) => {
      throw withRemedy(failure);
    });
  }
}

function newWatch(diffId: string): PushedLayerWatch {
  return { diffId, digest: '', size: 0, done: 0, state: 'waiting' };
}

/** An upload that is not found is a repository that is not there. */
function withRemedy(failure: unknown): unknown {
  if (!(failure instanceof RegistryFailure) || failure.code !== 'REGISTRY_NOT_FOUND') return failure;
  return new BerthError('REGISTRY_NOT_FOUND', `${failure.message} (create the repository there first)`, { cause: failure });
}
