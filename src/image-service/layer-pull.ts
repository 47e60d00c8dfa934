/**
 * Brings one layer into the store: streamed from the registry into the unpacker, both digests
 * verified, then staged. Layers that several pulls want at the same time are fetched once.
 */

import { createHash } from 'node:crypto';
import { BerthError } from '../errors/catalogue.ts';
import { untilAborted } from '../state/keyed-lock.ts';
import type { ImageMetrics } from '../telemetry/image-metrics.ts';
import { step } from '../telemetry/steps.ts';
import type { FairSlots } from './fair-slots.ts';
import { BlobStream } from './registry/blob-stream.ts';
import type { BlobSource } from './registry/blob-source.ts';
import type { RemoteLayer } from './registry/resolve.ts';
import type { RetryPolicy } from './registry/retry.ts';
import { allFailed } from './registry/session.ts';
import type { LayerStore } from './store/layer-store.ts';
import type { UnpackResult, Unpacker } from './store/unpacker.ts';

export interface LayerPullOptions {
  readonly layers: LayerStore;
  readonly unpacker: Unpacker;
  readonly retry: RetryPolicy;
  /** Bounds over all pulls, shared out by holder. A layer takes an unpacking first, then a download. */
  readonly downloads: FairSlots;
  readonly unpacks: FairSlots;
  readonly metrics?: ImageMetrics | undefined;
}

/** How far a layer is, for whoever watches the pull; written by it alone. */
export interface LayerWatch {
  readonly digest: string;
  /** Bytes, as they come from the registry. */
  readonly size: number;
  received: number;
  state: 'waiting' | 'downloading' | 'done' | 'present';
}

export interface LayerRequest {
  readonly layer: RemoteLayer;
  /** Whom to ask, in order. */
  readonly sources: readonly BlobSource[];
  /** Who holds the layer from now on. */
  readonly holder: string;
  /** Names image and layer in errors. */
  readonly what: string;
  readonly watch?: LayerWatch | undefined;
}

/** A layer whose bytes are here already. */
export interface LocalLayer {
  readonly diffId: string;
  /** Compressed or not; asked once. */
  readonly content: () => AsyncIterable<Buffer>;
  readonly holder: string;
  readonly what: string;
}

/** One unpacking. */
interface LayerWork {
  readonly diffId: string;
  readonly holder: string;
  readonly what: string;
  readonly content: AsyncIterable<Buffer>;
  readonly verify: (result: UnpackResult) => void;
  /** Finds out more about the unpacker's failure, and throws. */
  readonly explain?: (failure: unknown) => Promise<never>;
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
    const { watch } = request;
    let fetched = false;
    const fetch = (): Promise<void> => {
      fetched = true;
      return this.#fetchFromAny(request, signal);
    };
    await this.#once(request.layer.diffId, request.holder, fetch, signal);
    if (watch !== undefined) watch.state = fetched ? 'done' : 'present';
  }

  /** The same for a layer that needs no registry. Rejects with DIGEST_MISMATCH when it has another diff ID. */
  take(layer: LocalLayer, signal: AbortSignal): Promise<void> {
    const { diffId, holder, what } = layer;
    const unpack = (): Promise<void> =>
      this.#unpack({ diffId, holder, what, content: layer.content(), verify: (result) => verifyDiffId(result, diffId, what) }, signal);
    return this.#once(diffId, holder, unpack, signal);
  }

  async #once(diffId: string, holder: string, bring: () => Promise<void>, signal: AbortSignal): Promise<void> {
    const { layers } = this.#options;
    for (;;) {
      signal.throwIfAborted();
      if (layers.has(diffId)) {
        layers.hold(diffId, holder);
        return;
      }
      const running = this.#running.get(diffId);
      if (running === undefined) return this.#run(diffId, bring);
      // Another pull's failure, say for its credentials, is not ours: then this one tries itself.
      await untilAborted(running, signal);
    }
  }

  async #run(diffId: string, bring: () => Promise<void>): Promise<void> {
    const work = bring();
    const settled = work.catch(() => undefined).finally(() => this.#running.delete(diffId));
    this.#running.set(diffId, settled);
    await work;
    await settled;
  }

  /** A server whose content is wrong is passed over for the next; the layer starts from zero then. */
  async #fetchFromAny(request: LayerRequest, signal: AbortSignal): Promise<void> {
    const failures: BerthError[] = [];
    let sources = request.sources;
    while (sources.length > 0) {
      const stream = new BlobStream(sources, request.layer.descriptor, request.what, this.#options.retry);
      try {
        return await this.#unpackStream(request, stream, signal);
      } catch (failure) {
        signal.throwIfAborted();
        if (!(failure instanceof BerthError)) throw failure;
        failures.push(failure);
        if (!isContentFailure(failure)) break;
        sources = stream.unused;
      }
    }
    throw allFailed(failures, request.what, 'pull');
  }

  #unpackStream(request: LayerRequest, stream: BlobStream, signal: AbortSignal): Promise<void> {
    const { holder, what } = request;
    const work: LayerWork = {
      diffId: request.layer.diffId,
      holder,
      what,
      content: this.#download(stream, request, signal),
      verify: (result) => verify(result, request),
      explain: (failure) => this.#explain(failure, request, stream, signal),
    };
    return this.#unpack(work, signal);
  }

  async #unpack(work: LayerWork, signal: AbortSignal): Promise<void> {
    const { layers, unpacker, unpacks } = this.#options;
    const unpack = async (): Promise<void> => {
      const { directory, ...place } = await layers.stage(work.diffId);
      try {
        const result = await unpacker
          .layer(place, work.content, work.what, signal)
          .catch((failure: unknown) => (work.explain === undefined ? Promise.reject(failure as Error) : work.explain(failure)));
        work.verify(result);
        await layers.adopt(result, directory, work.holder);
      } catch (failure) {
        await layers.discard(directory);
        throw failure;
      }
    };
    const release = await unpacks.acquire(work.holder, signal);
    try {
      await step('pull.unpack', unpack);
    } finally {
      release();
    }
  }

  /** The stream, once there is a free place among the downloads; the place is kept to its end. */
  async *#download(stream: BlobStream, { holder, watch }: LayerRequest, signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
    const release = await this.#options.downloads.acquire(holder, signal);
    try {
      if (watch !== undefined) Object.assign(watch, { state: 'downloading', received: 0 });
      for await (const chunk of stream.chunks(signal)) {
        this.#options.metrics?.downloaded(chunk.length);
        if (watch !== undefined) watch.received += chunk.length;
        yield chunk;
      }
    } finally {
      release();
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
  verifyDiffId(result, diffId, what);
}

function verifyDiffId(result: UnpackResult, diffId: string, what: string): void {
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
