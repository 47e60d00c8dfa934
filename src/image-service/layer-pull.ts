/**
 * Brings one layer into the store: streamed from the registry into the unpacker, both digests
 * verified, then staged. Layers that several pulls want at the same time are fetched once.
 */

import { createHash } from 'node:crypto';
import type PQueue from 'p-queue';
import { BerthError } from '../errors/catalogue.ts';
import type { ImageMetrics } from '../telemetry/image-metrics.ts';
import { carried, step } from '../telemetry/steps.ts';
import { runBounded, waitUnlessAborted } from './bounded.ts';
import { BlobStream } from './registry/blob-stream.ts';
import type { RegistryClient } from './registry/client.ts';
import type { RemoteLayer } from './registry/resolve.ts';
import type { RetryPolicy } from './registry/retry.ts';
import { allFailed } from './registry/session.ts';
import type { LayerStore } from './store/layer-store.ts';
import type { UnpackResult, Unpacker } from './store/unpacker.ts';

export interface LayerPullOptions {
  readonly layers: LayerStore;
  readonly unpacker: Unpacker;
  readonly retry: RetryPolicy;
  /** Bounds over all pulls. */
  readonly downloads: PQueue;
  readonly unpacks: PQueue;
  readonly metrics?: ImageMetrics | undefined;
}

export interface LayerRequest {
  readonly layer: RemoteLayer;
  /** Endpoints to ask, in order. */
  readonly clients: readonly RegistryClient[];
  /** Who holds the layer from now on. */
  readonly holder: string;
  /** Names image and layer in errors. */
  readonly what: string;
}

export class LayerPuller {
  readonly #options: LayerPullOptions;
  /** By diff ID. A promise here never rejects: the one who runs it has the failure. */
  readonly #running = new Map<string, Promise<void>>();

  constructor(options: LayerPullOptions) {
    this.#options = options;
  }

  /** Ends when the layer is in the store and held. */
  async ensure(request: LayerRequest, signal: AbortSignal): Promise<void> {
    const { layers } = this.#options;
    const { diffId } = request.layer;
    for (;;) {
      signal.throwIfAborted();
      if (layers.has(diffId)) {
        layers.hold(diffId, request.holder);
        return;
      }
      const running = this.#running.get(diffId);
      if (running === undefined) return this.#run(request, signal);
      // Another pull's failure, say for its credentials, is not ours: then this one tries itself.
      await waitUnlessAborted(running, signal);
    }
  }

  async #run(request: LayerRequest, signal: AbortSignal): Promise<void> {
    const { diffId } = request.layer;
    const work = this.#fetchFromAny(request, signal);
    const settled = work.catch(() => undefined).finally(() => this.#running.delete(diffId));
    this.#running.set(diffId, settled);
    await work;
    await settled;
  }

  /** A server whose content is wrong is passed over for the next; the layer starts from zero then. */
  async #fetchFromAny(request: LayerRequest, signal: AbortSignal): Promise<void> {
    const failures: BerthError[] = [];
    let clients = request.clients;
    while (clients.length > 0) {
      const stream = new BlobStream(clients, request.layer.descriptor, request.what, this.#options.retry);
      try {
        return await this.#unpack(request, stream, signal);
      } catch (failure) {
        signal.throwIfAborted();
        if (!(failure instanceof BerthError)) throw failure;
        failures.push(failure);
        if (!isContentFailure(failure)) break;
        clients = stream.unused;
      }
    }
    throw allFailed(failures, request.what, 'pull');
  }

  async #unpack(request: LayerRequest, stream: BlobStream, signal: AbortSignal): Promise<void> {
    const { layers, unpacker, unpacks } = this.#options;
    const unpack = async (): Promise<void> => {
      const { directory, ...place } = await layers.stage(request.layer.diffId);
      try {
        const result = await unpacker
          .layer(place, this.#download(stream, signal), request.what, signal)
          .catch((failure: unknown) => this.#explain(failure, request, stream, signal));
        verify(result, request);
        await layers.adopt(result, directory, request.holder);
      } catch (failure) {
        await layers.discard(directory);
        throw failure;
      }
    };
    await runBounded(unpacks, signal, carried(() => step('pull.unpack', unpack)));
  }

  /** The stream, once there is a free place among the downloads; the place is kept to its end. */
  async *#download(stream: BlobStream, signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
    const { promise: finished, resolve: finish } = Promise.withResolvers<void>();
    const { promise: started, resolve: start, reject: refuse } = Promise.withResolvers<void>();
    const place = runBounded(this.#options.downloads, signal, () => {
      start();
      return finished;
    });
    place.catch(refuse);
    try {
      await started;
      for await (const chunk of stream.chunks(signal)) {
        this.#options.metrics?.downloaded(chunk.length);
        yield chunk;
      }
    } finally {
      finish();
    }
  }

  /**
   * The unpacker stops at the first byte it cannot make sense of, before the digest is known. Whether
   * the image is bad or the transfer was decides what the operator has to look at, so the rest is read.
   */
  async #explain(failure: unknown, request: LayerRequest, stream: BlobStream, signal: AbortSignal): Promise<never> {
    if (!(failure instanceof BerthError) || failure.code !== 'LAYER_REFUSED') throw failure;
    const { digest } = request.layer.descriptor;
    const actual = await digestOfBlob(stream.again(), signal).catch(() => undefined);
    if (actual === undefined || actual === digest) throw failure;
    throw wrongContent(request.what, `digest ${digest}`, `${actual}; it does not unpack: ${failure.message}`);
  }
}

function verify(result: UnpackResult, { layer, what }: LayerRequest): void {
  const { descriptor, diffId } = layer;
  if (result.digest !== descriptor.digest) throw wrongContent(what, `digest ${descriptor.digest}`, result.digest);
  if (result.size !== descriptor.size) throw wrongContent(what, `${descriptor.size} bytes`, String(result.size));
  if (result.diffId !== diffId) throw wrongContent(what, `diff ID ${diffId}`, result.diffId);
}

function wrongContent(what: string, expected: string, actual: string): BerthError {
  return new BerthError('DIGEST_MISMATCH', `${what}: the content is not what the image says: expected ${expected}, got ${actual}`);
}

function isContentFailure(failure: BerthError): boolean {
  return failure.code === 'DIGEST_MISMATCH' || failure.code === 'LAYER_REFUSED';
}

async function digestOfBlob(stream: BlobStream, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of stream.chunks(signal)) hash.update(chunk);
  return `sha256:${hash.digest('hex')}`;
}
