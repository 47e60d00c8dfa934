/** One pull from reference to committed image; equal pulls at the same time are one. */

import { createHash } from 'node:crypto';
import type { Logger } from 'pino';
import { BerthError, wrapError } from '../errors/catalogue.ts';
import { untilAborted } from '../state/keyed-lock.ts';
import type { ImageMetrics } from '../telemetry/image-metrics.ts';
import { step } from '../telemetry/steps.ts';
import type { LayerPuller, LayerWatch } from './layer-pull.ts';
import { formatReference, repositoryName } from './reference.ts';
import type { ImageReference } from './reference.ts';
import type { PullAuth } from './registry/credentials.ts';
import type { Platform } from './registry/platform.ts';
import { resolveImage } from './registry/resolve.ts';
import type { RemoteImage } from './registry/resolve.ts';
import { RegistrySession } from './registry/session.ts';
import type { SessionOptions } from './registry/session.ts';
import type { ImageStore } from './store/image-store.ts';
import type { StoredImage } from './store/stored-image.ts';
import { together } from './together.ts';

export interface ImagePullOptions {
  readonly store: ImageStore;
  readonly layerPuller: LayerPuller;
  readonly session: SessionOptions;
  readonly platform: Platform;
  readonly log: Logger;
  readonly metrics?: ImageMetrics | undefined;
}

/** How far a pull is. */
export interface PullWatch {
  /** Bottom first; empty until the manifest is known. */
  layers: readonly LayerWatch[];
}

interface RunningPull {
  readonly watch: PullWatch;
  readonly result: Promise<StoredImage>;
  readonly controller: AbortController;
  callers: number;
}

/** Milliseconds for which finished layers of a failed pull wait for its retry. */
const leftoverLifetime = 10 * 60_000;

export class ImagePuller {
  readonly #options: ImagePullOptions;
  readonly #running = new Map<string, RunningPull>();
  #pulls = 0;
  #leftovers: NodeJS.Timeout | undefined;

  constructor(options: ImagePullOptions) {
    this.#options = options;
  }

  /**
   * Aborting `signal` ends the wait; the pull itself ends when nobody waits for it any more. `watched` is called at once, with
   * what the pull keeps up to date.
   */
  async pull(reference: ImageReference, auth: PullAuth | undefined, signal: AbortSignal, watched?: (watch: PullWatch) => void): Promise<StoredImage> {
    signal.throwIfAborted();
    const key = pullKey(reference, auth);
    const pull = this.#running.get(key) ?? this.#start(key, reference, auth);
    watched?.(pull.watch);
    pull.callers += 1;
    try {
      return await untilAborted(pull.result, signal);
    } finally {
      pull.callers -= 1;
      if (pull.callers === 0 && this.#running.get(key) === pull) {
        this.#running.delete(key);
        pull.controller.abort(new DOMException('the pull was cancelled', 'AbortError'));
        // What remains of it is on nobody's behalf, but must be over before the caller goes on.
        await pull.result.catch(() => undefined);
      }
    }
  }

  /** Ends all pulls and waits for them. */
  async close(): Promise<void> {
    clearTimeout(this.#leftovers);
    const pulls = [...this.#running.values()];
    const reason = new BerthError('SHUTTING_DOWN', 'berthd is stopping');
    for (const { controller } of pulls) controller.abort(reason);
    await Promise.allSettled(pulls.map(({ result }) => result));
    clearTimeout(this.#leftovers);
  }

  #start(key: string, reference: ImageReference, auth: PullAuth | undefined): RunningPull {
    const controller = new AbortController();
    const watch: PullWatch = { layers: [] };
    const work = this.#run(reference, auth, watch, controller.signal);
    this.#options.metrics?.pulling(work, controller.signal);
    const result = work.finally(() => {
      if (this.#running.get(key) === pull) this.#running.delete(key);
    });
    // Its callers may all be gone by the time it fails.
    result.catch(() => undefined);
    const pull: RunningPull = { watch, result, controller, callers: 0 };
    this.#running.set(key, pull);
    return pull;
  }

  async #run(reference: ImageReference, auth: PullAuth | undefined, watch: PullWatch, signal: AbortSignal): Promise<StoredImage> {
    const { store, session: sessionOptions, platform } = this.#options;
    const name = formatReference(reference);
    this.#pulls += 1;
    const holder = `pull:${this.#pulls}`;
    try {
      const session = await step('pull.session', () => RegistrySession.open(reference, auth, sessionOptions, signal));
      try {
        const remote = await step('pull.resolve', () => resolveImage(session, reference, platform, signal), { 'berth.image': name });
        await this.#pullLayers(session, remote, watch, { name, holder }, signal);
        return await step('pull.commit', () => store.commit(remote, namesOf(reference, remote), signal));
      } finally {
        await session.close();
      }
    } catch (cause) {
      store.layers.release(holder);
      await this.#removeLeftovers(cause);
      // The registry's messages name the image already, and the kubelet reads how they begin.
      if (cause instanceof BerthError) throw cause;
      throw wrapError(`pull ${name}`, cause);
    } finally {
      store.layers.release(holder);
    }
  }

  /** All layers at once, as far as the bounds allow. The first failure ends the others. */
  async #pullLayers(
    session: RegistrySession,
    remote: RemoteImage,
    watch: PullWatch,
    { name, holder }: { readonly name: string; readonly holder: string },
    signal: AbortSignal,
  ): Promise<void> {
    const layers = [...new Map(remote.layers.map((layer) => [layer.diffId, layer])).values()];
    const watches = layers.map(({ descriptor: { digest, size } }): LayerWatch => ({ digest, size, received: 0, state: 'waiting' }));
    watch.layers = watches;
    await together(layers, signal, async (layer, position, either) => {
      const { digest, size } = layer.descriptor;
      const request = { layer, sources: session.sources(layer.descriptor), holder, what: `${name}: layer ${digest}`, watch: watches[position] };
      const ensure = (): Promise<void> => this.#options.layerPuller.ensure(request, either);
      await step('pull.layer', ensure, { 'berth.layer.digest': digest, 'berth.layer.size': size });
    });
  }

  /** The finished layers of a failed pull wait for its retry, unless the disk needs their space. */
  async #removeLeftovers(cause: unknown): Promise<void> {
    const { store, log } = this.#options;
    const remove = (removal: Promise<unknown>): Promise<void> =>
      removal.then(
        () => undefined,
        (failure: unknown) => log.warn({ err: failure }, 'the finished layers of a failed pull could not be removed'),
      );
    clearTimeout(this.#leftovers);
    if (cause instanceof BerthError && cause.code === 'DISK_FULL') return remove(store.endMending());
    this.#leftovers = setTimeout(() => void remove(store.removeUnused()), leftoverLifetime).unref();
  }
}

/** A tag also makes the image known by what the tag stands for now. */
function namesOf(reference: ImageReference, remote: RemoteImage): readonly string[] {
  const byDigest = `${repositoryName(reference)}@${remote.target.digest}`;
  return reference.digest === undefined ? [formatReference(reference), byDigest] : [byDigest];
}

/** Pulls with different credentials are different pulls: one must not ride on the other's rights. */
function pullKey(reference: ImageReference, auth: PullAuth | undefined): string {
  const proof = createHash('sha256').update(JSON.stringify(auth ?? null)).digest('hex');
  return `${formatReference(reference)} ${proof}`;
}
