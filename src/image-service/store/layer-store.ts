/**
 * Unpacked layers, known by diff ID and shared by everything that has them.
 *
 * A layer is `staged` (verified, usable by other pulls, gone after a restart) or `placed` (durable,
 * under its own name). It stays while it has a holder; what has none is deleted by `removeUnused`.
 */

import { chmod, mkdir, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BerthError } from '../../errors/catalogue.ts';
import { digestHex } from '../digest.ts';
import { diskBytes } from './disk-bytes.ts';
import { layerPath, layerRecordFile, layerSkeleton, layerTree } from './paths.ts';
import type { StorePaths } from './paths.ts';
import type { Trash } from './trash.ts';
import type { LayerPlace, UnpackResult } from './unpacker.ts';

/** What layer.json holds. */
export type LayerRecord = UnpackResult;

/** A layer that lies under its own name. */
export interface PlacedLayer {
  readonly record: LayerRecord;
  /** What the layer takes beside what its record counts, see `bytesBeside`. */
  readonly besideBytes: number;
}

interface Layer extends PlacedLayer {
  directory: string;
  placed: boolean;
  readonly holders: Set<string>;
}

export interface DiskUsage {
  readonly bytes: number;
  readonly inodes: number;
}

/** The unpacker counts what is in the tree: the layer's directory, its record, its skeleton and the tree's root come on top. */
const inodesBesideTree = 4;

/** Bytes on the disk of those four, as du counts them. */
export async function bytesBeside(directory: string): Promise<number> {
  const places = [directory, ...[layerTree, layerSkeleton, layerRecordFile].map((name) => join(directory, name))];
  const found = await Promise.all(places.map((place) => stat(place)));
  return found.reduce((sum, each) => sum + diskBytes(each), 0);
}

export class LayerStore {
  readonly #paths: StorePaths;
  readonly #trash: Trash;
  readonly #layers = new Map<string, Layer>();
  #bytes = 0;
  #inodes = 0;
  #stagings = 0;

  constructor(paths: StorePaths, trash: Trash, placed: Iterable<PlacedLayer>) {
    this.#paths = paths;
    this.#trash = trash;
    for (const layer of placed) this.#add(layer, layerPath(paths, layer.record.diffId), true);
  }

  has(diffId: string): boolean {
    return this.#layers.has(diffId);
  }

  record(diffId: string): LayerRecord | undefined {
    return this.#layers.get(diffId)?.record;
  }

  /** Where tree and skeleton are. */
  place(diffId: string): LayerPlace {
    const { directory } = this.#layer(diffId);
    return { tree: join(directory, layerTree), skeleton: join(directory, layerSkeleton) };
  }

  /** Absolute path of the layer in overlay form. */
  tree(diffId: string): string {
    return join(this.#layer(diffId).directory, layerTree);
  }

  usage(): DiskUsage {
    return { bytes: this.#bytes, inodes: this.#inodes };
  }

  hold(diffId: string, holder: string): void {
    this.#layer(diffId).holders.add(holder);
  }

  /** Holds the layers that lie at these paths (see `tree`); others are not this store's. */
  holdTrees(trees: readonly string[], holder: string): void {
    const wanted = new Set(trees);
    if (wanted.size === 0) return;
    for (const { directory, holders } of this.#layers.values()) if (wanted.has(join(directory, layerTree))) holders.add(holder);
  }

  /** Holds every layer but these. */
  holdOthers(diffIds: ReadonlySet<string>, holder: string): void {
    for (const [diffId, { holders }] of this.#layers) if (!diffIds.has(diffId)) holders.add(holder);
  }

  /** Gives up every layer that `holder` holds, or those of them that are named. */
  release(holder: string, diffIds?: Iterable<string>): void {
    for (const diffId of diffIds ?? this.#layers.keys()) this.#layers.get(diffId)?.holders.delete(holder);
  }

  /** A fresh directory to unpack into; `tree` in it is empty, `skeleton` is not there yet. */
  async stage(diffId: string): Promise<LayerPlace & { readonly directory: string }> {
    this.#stagings += 1;
    const directory = join(this.#paths.staging, `layer-${this.#stagings}-${digestHex(diffId).slice(0, 12)}`);
    const tree = join(directory, layerTree);
    await mkdir(directory, { mode: 0o700 });
    await mkdir(tree);
    // Many layers say nothing about their root, and berthd's own umask must not decide who may enter it.
    await chmod(tree, 0o755);
    return { directory, tree, skeleton: join(directory, layerSkeleton) };
  }

  /** Takes in a verified layer from a staging directory. */
  async adopt(record: LayerRecord, directory: string, holder: string): Promise<void> {
    await writeFile(join(directory, layerRecordFile), `${JSON.stringify(record)}\n`, { mode: 0o600 });
    this.#add({ record, besideBytes: await bytesBeside(directory) }, directory, false).holders.add(holder);
  }

  async discard(directory: string): Promise<void> {
    await this.#trash.remove(await this.#trash.take(directory));
  }

  /** Staged layers among these; they are to be flushed before they are placed. */
  staged(diffIds: Iterable<string>): readonly string[] {
    return [...new Set(diffIds)].filter((diffId) => !this.#layer(diffId).placed);
  }

  /** Moves a flushed layer to its final name. */
  async settle(diffId: string): Promise<void> {
    const layer = this.#layer(diffId);
    const destination = layerPath(this.#paths, diffId);
    await rename(layer.directory, destination).catch(async (failure: NodeJS.ErrnoException) => {
      if (failure.code !== 'ENOTEMPTY' && failure.code !== 'EEXIST') throw failure;
      // A layer that nobody knows of any more, because it could not be moved away.
      await this.discard(destination);
      await rename(layer.directory, destination);
    });
    layer.directory = destination;
    layer.placed = true;
  }

  /** Forgets a layer at once; what comes back is where it lies, and who held it. */
  forget(diffId: string): { readonly directory: string; readonly holders: ReadonlySet<string> } {
    const layer = this.#layer(diffId);
    this.#remove(layer);
    return layer;
  }

  /**
   * Forgets layers without a holder and moves them to the trash. The first promise ends when their
   * names are free again, the one inside it when their bytes are.
   */
  async removeUnused(): Promise<{ readonly removed: readonly LayerRecord[]; readonly done: Promise<void> }> {
    const unused = [...this.#layers.values()].filter((layer) => layer.holders.size === 0);
    for (const layer of unused) this.#remove(layer);
    const places: string[] = [];
    const failures: unknown[] = [];
    for (const layer of unused) {
      await this.#trash.take(layer.directory).then(
        (place) => places.push(place),
        (failure: unknown) => {
          if ((failure as NodeJS.ErrnoException).code !== 'ENOENT') failures.push(failure);
        },
      );
    }
    const done = Promise.all(places.map((place) => this.#trash.remove(place))).then(() => undefined);
    if (failures.length > 0) throw new AggregateError(failures, 'move unused layers to the trash');
    return { removed: unused.map(({ record }) => record), done };
  }

  #add({ record, besideBytes }: PlacedLayer, directory: string, placed: boolean): Layer {
    const layer: Layer = { record, besideBytes, directory, placed, holders: new Set() };
    this.#layers.set(record.diffId, layer);
    this.#bytes += record.unpackedBytes + besideBytes;
    this.#inodes += record.inodes + inodesBesideTree;
    return layer;
  }

  #remove({ record, besideBytes }: Layer): void {
    if (!this.#layers.delete(record.diffId)) return;
    this.#bytes -= record.unpackedBytes + besideBytes;
    this.#inodes -= record.inodes + inodesBesideTree;
  }

  #layer(diffId: string): Layer {
    const layer = this.#layers.get(diffId);
    if (layer === undefined) throw new BerthError('INTERNAL', `layer ${diffId} is not in the store`);
    return layer;
  }
}
