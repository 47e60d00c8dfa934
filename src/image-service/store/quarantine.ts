/**
 * What did not load or was found damaged lies here, for the operator to look at, until a prune or a full disk.
 * It counts as what images take. A layer that containers still run on stays as long as they do.
 */

import { mkdir, readdir, rename, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Logger } from 'pino';
import { diskBytes } from './disk-bytes.ts';
import { syncDirectory } from './durable.ts';
import type { DiskUsage } from './layer-store.ts';
import { layerTree } from './paths.ts';
import type { StorePaths } from './paths.ts';
import type { Trash } from './trash.ts';
import type { Unpacker } from './unpacker.ts';

interface Entry extends DiskUsage {
  readonly place: string;
  /** Its name before: of a layer, the hex digits of its diff ID. */
  readonly name: string;
  readonly holders: Set<string>;
}

export interface QuarantineParts {
  readonly paths: StorePaths;
  readonly trash: Trash;
  readonly unpacker: Unpacker;
  readonly log: Logger;
}

/** Milliseconds for one tree: millions of files on a slow disk. */
const countTimeout = 10 * 60_000;

export class Quarantine {
  readonly #parts: QuarantineParts;
  #entries: Entry[] = [];
  #taken = 0;

  private constructor(parts: QuarantineParts) {
    this.#parts = parts;
  }

  static async open(parts: QuarantineParts): Promise<Quarantine> {
    const { quarantine } = parts.paths;
    await mkdir(quarantine, { recursive: true, mode: 0o700 });
    const opened = new Quarantine(parts);
    for (const entry of await readdir(quarantine)) await opened.#add(join(quarantine, entry), entry.replace(/^\d+-/, ''), []);
    return opened;
  }

  /** How many things it has taken since it was opened. */
  get taken(): number {
    return this.#taken;
  }

  usage(): DiskUsage {
    return this.#entries.reduce((sum, { bytes, inodes }) => ({ bytes: sum.bytes + bytes, inodes: sum.inodes + inodes }), { bytes: 0, inodes: 0 });
  }

  /** Moves what lies at `path` here, for good also after a power cut. */
  async take(path: string, holders: Iterable<string> = []): Promise<void> {
    this.#taken += 1;
    const name = basename(path);
    const place = join(this.#parts.paths.quarantine, `${Date.now()}-${name}`);
    await rename(path, place);
    await syncDirectory(join(path, '..'));
    await syncDirectory(this.#parts.paths.quarantine);
    await this.#add(place, name, holders);
  }

  /** A file that was written here, named after what it is about. */
  async wrote(place: string): Promise<void> {
    this.#taken += 1;
    await this.#add(place, basename(place), []);
  }

  /** As `LayerStore.holdTrees`: a container may run on the layer since before it was put aside. */
  holdTrees(trees: readonly string[], holder: string): void {
    const { layers } = this.#parts.paths;
    const wanted = new Set(trees);
    for (const { name, holders } of this.#entries) if (wanted.has(join(layers, name, layerTree))) holders.add(holder);
  }

  release(holder: string): void {
    for (const { holders } of this.#entries) holders.delete(holder);
  }

  /** Deletes what no container needs. Ends when its bytes are free. */
  async empty(): Promise<void> {
    const unused = this.#entries.filter(({ holders }) => holders.size === 0);
    this.#entries = this.#entries.filter(({ holders }) => holders.size > 0);
    const { trash, log } = this.#parts;
    for (const { place } of unused) {
      await trash.take(place).then(
        (taken) => trash.remove(taken),
        (failure: unknown) => log.warn({ err: failure, path: place }, 'what was put aside could not be moved to the trash'),
      );
    }
  }

  async #add(place: string, name: string, holders: Iterable<string>): Promise<void> {
    const usage = await this.#count(place).catch((failure: unknown) => {
      this.#parts.log.warn({ err: failure, path: place }, 'what was put aside could not be counted');
      return { bytes: 0, inodes: 0 };
    });
    this.#entries.push({ place, name, holders: new Set(holders), ...usage });
  }

  async #count(place: string): Promise<DiskUsage> {
    const root = await stat(place);
    const own = { bytes: diskBytes(root), inodes: 1 };
    if (!root.isDirectory()) return own;
    const { unpackedBytes, inodes } = await this.#parts.unpacker.check(place, AbortSignal.timeout(countTimeout));
    return { bytes: own.bytes + unpackedBytes, inodes: own.inodes + inodes };
  }
}
