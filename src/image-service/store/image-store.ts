/**
 * Images with their names, durable. Changes are made one at a time; reading is from memory and never
 * waits for them.
 *
 * The order of a commit is what makes it safe against a power cut at any point: everything new is
 * flushed in the staging area, renamed into place, and only then named by the index. What is in
 * place without a name is a leftover that nothing shows and `removeUnused` deletes.
 */

import { rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import PQueue from 'p-queue';
import type { Logger } from 'pino';
import { BerthError, wrapError } from '../../errors/catalogue.ts';
import type { RemoteImage } from '../registry/resolve.ts';
import type { BlobStore } from './blob-store.ts';
import { allLayers, stageDirectories } from './directories-layer.ts';
import { syncDirectory } from './durable.ts';
import { ImageIndex } from './image-index.ts';
import { makeReserve, writeIndex } from './index-writer.ts';
import type { DiskUsage, LayerRecord, LayerStore } from './layer-store.ts';
import { mendingHolder } from './mending.ts';
import type { Mending } from './mending.ts';
import type { StorePaths } from './paths.ts';
import type { Quarantine } from './quarantine.ts';
import { documentsOf, indexEntries, storedImage, withNames } from './stored-image.ts';
import type { ImageName, StoredImage } from './stored-image.ts';
import type { Trash } from './trash.ts';
import type { Unpacker } from './unpacker.ts';

/** Milliseconds that a removal waits for its bytes to be free. */
const longestWait = 10_000;

/** A container's holds on layers begin so. */
const userPrefix = 'user:';

export interface StoreParts {
  readonly paths: StorePaths;
  readonly layers: LayerStore;
  readonly blobs: BlobStore;
  readonly trash: Trash;
  readonly quarantine: Quarantine;
  readonly mending: Mending;
  readonly unpacker: Unpacker;
  readonly images: readonly StoredImage[];
  readonly log: Logger;
}

export class ImageStore {
  readonly #parts: StoreParts;
  readonly #changes = new PQueue({ concurrency: 1 });
  /** Image id → containers that use it. */
  readonly #users = new Map<string, Set<string>>();
  #index: ImageIndex;

  constructor(parts: StoreParts) {
    this.#parts = parts;
    this.#index = new ImageIndex(parts.images);
    for (const image of parts.images) this.#holdLayers(image);
    if (parts.mending.active) parts.layers.holdOthers(this.#layersOf(this.#index.listed()), mendingHolder);
  }

  get index(): ImageIndex {
    return this.#index;
  }

  get paths(): StorePaths {
    return this.#parts.paths;
  }

  get layers(): LayerStore {
    return this.#parts.layers;
  }

  /** Ids of the containers that use the image. */
  users(imageId: string): ReadonlySet<string> {
    return this.#users.get(imageId) ?? new Set();
  }

  usage(): DiskUsage {
    const layers = this.#parts.layers.usage();
    const blobs = this.#parts.blobs.usage();
    const aside = this.#parts.quarantine.usage();
    return { bytes: layers.bytes + blobs.bytes + aside.bytes, inodes: layers.inodes + blobs.inodes + aside.inodes };
  }

  /** Makes a pulled image durable under `names`, which move here from any image that has them. */
  commit(remote: RemoteImage, names: readonly string[], signal: AbortSignal): Promise<StoredImage> {
    return this.#change(async () => {
      signal.throwIfAborted();
      const pulled = storedImage(remote, names);
      const diffIds = remote.layers.map(({ diffId }) => diffId);
      await stageDirectories(this.#parts.layers, this.#parts.unpacker, diffIds, `image:${pulled.id}`, signal);
      await this.#place(remote, signal);
      const before = this.#index.byId(pulled.id);
      const image = before === undefined ? pulled : { ...pulled, names: new Map([...before.names, ...pulled.names]) };
      const others = this.#index.all().filter(({ id }) => id !== image.id);
      await this.#replaceIndex([...others.map((other) => withoutNames(other, names)), image]);
      this.#holdLayers(image);
      this.#parts.layers.release(mendingHolder, this.#layersOf([image]));
      return image;
    });
  }

  /** Gives the image the name, which moves here from any other. It has to be there. */
  tag(imageId: string, name: string): Promise<void> {
    return this.#change(async () => {
      const image = this.#index.byId(imageId);
      if (image === undefined || image.names.size === 0) throw new BerthError('IMAGE_NOT_FOUND', `image ${imageId} is not on this node`);
      const [known] = image.names.values();
      const target = known ?? { target: image.manifest, manifest: image.manifest };
      const others = this.#index.all().filter(({ id }) => id !== imageId);
      await this.#replaceIndex([...others.map((other) => withoutNames(other, [name])), withNames(image, new Map([...image.names, [name, target]]))]);
    });
  }

  /** Takes all names from an image; what nobody uses goes. True when there was such an image. */
  async remove(reference: string): Promise<boolean> {
    const removal = await this.#change(async () => {
      const image = this.#index.find(reference);
      if (image === undefined) return undefined;
      const others = this.#index.all().filter(({ id }) => id !== image.id);
      const used = (this.#users.get(image.id)?.size ?? 0) > 0;
      await this.#replaceIndex(used ? [...others, withNames(image, new Map())] : others);
      if (!used) this.#releaseLayers(image.id);
      return this.#removeUnreferenced();
    });
    // The kubelet looks at the disk next; but it must not take a slow disk for a hung call.
    if (removal !== undefined) await Promise.race([removal.done, sleep(longestWait, undefined, { ref: false })]);
    // What was taken to write the index, if anything, there is space for now.
    await makeReserve(this.#parts.paths);
    return removal !== undefined;
  }

  /**
   * A layer was found damaged. Its images are not there from now on, so that they are pulled again when they are
   * needed; what else they have waits for that. Containers that run on the layer keep it.
   */
  distrust(diffId: string, problem: string): Promise<void> {
    return this.#change(async () => {
      const { layers, quarantine, mending, log } = this.#parts;
      if (!layers.has(diffId)) return;
      const all = this.#index.all();
      const broken = all.filter((image) => image.layers.some((layer) => layer.diffId === diffId));
      log.error({ diffId, problem, images: broken.flatMap(({ names }) => [...names.keys()]) }, 'a stored layer is damaged; it is put aside and will be pulled again when needed');
      await mending.begin();
      for (const id of this.#layersOf(broken)) if (layers.has(id)) layers.hold(id, mendingHolder);
      await this.#replaceIndex(all.map((image) => (broken.includes(image) ? withNames(image, new Map()) : image)));
      const { directory, holders } = layers.forget(diffId);
      await quarantine.take(directory, [...holders].filter((holder) => holder.startsWith(userPrefix)));
    });
  }

  /** Gives up what was put aside, and the layers that wait for a pull to name them again. */
  async endMending(): Promise<void> {
    await this.#change(async () => {
      await this.#parts.mending.end();
      this.#parts.layers.release(mendingHolder);
      await this.#parts.quarantine.empty();
    });
    await this.removeUnused();
  }

  /** As `endMending`, where that has gone on for long enough. */
  async tidy(): Promise<void> {
    const { mending, quarantine } = this.#parts;
    // What containers still needed when the mending ended.
    const rest = !mending.active && quarantine.usage().inodes > 0;
    if (mending.over || rest) await this.endMending();
  }

  /** See ImageProvider. */
  retain(imageId: string, user: string, layers: readonly string[]): void {
    this.#parts.layers.holdTrees(layers, userPrefix + user);
    this.#parts.quarantine.holdTrees(layers, userPrefix + user);
    const users = this.#users.get(imageId) ?? new Set();
    this.#users.set(imageId, users.add(user));
  }

  release(imageId: string, user: string): void {
    const users = this.#users.get(imageId);
    this.#parts.layers.release(userPrefix + user);
    this.#parts.quarantine.release(userPrefix + user);
    if (users?.delete(user) !== true || users.size > 0) return;
    this.#users.delete(imageId);
    // Another image than one without names keeps its layers; one that did not load leaves them behind.
    if ((this.#index.byId(imageId)?.names.size ?? 0) > 0) return;
    this.removeUnused().catch((failure: unknown) => {
      this.#parts.log.warn({ err: failure, imageId }, 'what a removed image left could not be deleted');
    });
  }

  /**
   * Deletes images that lost their names and are not used, and layers that belong to no image and no
   * pull. To be called once the containers that survived a restart are known (`retain`). What is left
   * for the trash to do is not waited for: it would hold up the start.
   */
  async removeUnused(): Promise<readonly LayerRecord[]> {
    const { removed } = await this.#change(async () => {
      const unused = this.#index.all().filter(({ id, names }) => names.size === 0 && !this.#users.has(id));
      if (unused.length > 0) {
        await this.#replaceIndex(this.#index.all().filter((image) => !unused.includes(image)));
        for (const { id } of unused) this.#releaseLayers(id);
      }
      return this.#removeUnreferenced();
    });
    return removed;
  }

  /** Waits for changes and deletions under way. */
  async settle(): Promise<void> {
    await this.#changes.onIdle();
    await this.#parts.trash.settle();
  }

  /** Nothing is changed after that: what is on the disk needs no check at the next start. */
  async close(): Promise<void> {
    await this.#changes.onIdle();
    await this.#parts.trash.stop();
    await rm(this.#parts.paths.running, { force: true });
  }

  async #place(remote: RemoteImage, signal: AbortSignal): Promise<void> {
    const { paths, layers, blobs, unpacker } = this.#parts;
    const documents = await blobs.stage(remote.documents);
    const staged = layers.staged(allLayers(layers, remote.layers.map(({ diffId }) => diffId)));
    if (documents.length === 0 && staged.length === 0) return;
    try {
      await unpacker.sync(paths.staging, signal);
    } catch (failure) {
      await blobs.unstage(documents);
      throw failure;
    }
    for (const diffId of staged) await layers.settle(diffId);
    await blobs.place(documents);
    if (staged.length > 0) await syncDirectory(paths.layers);
    if (documents.length > 0) await syncDirectory(paths.blobs);
  }

  async #replaceIndex(images: readonly StoredImage[]): Promise<void> {
    await writeIndex(this.#parts.paths, indexEntries(images));
    this.#index = new ImageIndex(images);
  }

  #removeUnreferenced(): ReturnType<LayerStore['removeUnused']> {
    const documents = new Set(this.#index.all().flatMap((image) => [...documentsOf(image)]));
    return this.#parts.blobs.keepOnly(documents).then(() => this.#parts.layers.removeUnused());
  }

  #holdLayers(image: StoredImage): void {
    const { layers } = this.#parts;
    for (const diffId of this.#layersOf([image])) if (layers.has(diffId)) layers.hold(diffId, `image:${image.id}`);
  }

  #layersOf(images: readonly StoredImage[]): ReadonlySet<string> {
    return new Set(images.flatMap((image) => allLayers(this.#parts.layers, image.layers.map(({ diffId }) => diffId))));
  }

  #releaseLayers(imageId: string): void {
    this.#parts.layers.release(`image:${imageId}`);
  }

  async #change<T>(change: () => Promise<T>): Promise<T> {
    try {
      return await this.#changes.add(change);
    } catch (cause) {
      throw cause instanceof BerthError ? cause : wrapError('change the image store', cause);
    }
  }
}

/** An image that lost names keeps those it has left; a tag that moved leaves the digest. */
function withoutNames(image: StoredImage, taken: readonly string[]): StoredImage {
  if (!taken.some((name) => image.names.has(name))) return image;
  const names = new Map<string, ImageName>(image.names);
  for (const name of taken) names.delete(name);
  return withNames(image, names);
}
