/** The small documents of images, under blobs/sha256 of the layout. */

import { readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { digestHex, digestOf } from '../digest.ts';
import { diskBytes } from './disk-bytes.ts';
import { protocolError } from '../registry/descriptor.ts';
import type { Descriptor } from '../registry/descriptor.ts';
import type { StoredDocument } from '../registry/resolve.ts';
import type { DiskUsage } from './layer-store.ts';
import { blobPath } from './paths.ts';
import type { StorePaths } from './paths.ts';

export class BlobStore {
  readonly #paths: StorePaths;
  /** Digest → bytes on the disk. */
  readonly #sizes: Map<string, number>;
  #bytes: number;

  constructor(paths: StorePaths, sizes: ReadonlyMap<string, number>) {
    this.#paths = paths;
    this.#sizes = new Map(sizes);
    this.#bytes = [...sizes.values()].reduce((sum, size) => sum + size, 0);
  }

  usage(): DiskUsage {
    return { bytes: this.#bytes, inodes: this.#sizes.size };
  }

  /** Writes what is not there yet into the staging area; the caller flushes before it places. */
  async stage(documents: readonly StoredDocument[]): Promise<readonly StoredDocument[]> {
    const missing = new Map(documents.filter(({ descriptor }) => !this.#sizes.has(descriptor.digest)).map((document) => [document.descriptor.digest, document]));
    for (const { descriptor, content } of missing.values()) {
      await writeFile(this.#staged(descriptor.digest), content, { mode: 0o600 });
    }
    return [...missing.values()];
  }

  async place(documents: readonly StoredDocument[]): Promise<void> {
    for (const { descriptor } of documents) {
      const place = blobPath(this.#paths, descriptor.digest);
      await rename(this.#staged(descriptor.digest), place);
      const bytes = await bytesOf(place);
      this.#sizes.set(descriptor.digest, bytes);
      this.#bytes += bytes;
    }
  }

  async unstage(documents: readonly StoredDocument[]): Promise<void> {
    for (const { descriptor } of documents) await rm(this.#staged(descriptor.digest), { force: true });
  }

  /** Deletes everything but these. */
  async keepOnly(digests: ReadonlySet<string>): Promise<void> {
    for (const [digest, size] of this.#sizes) {
      if (digests.has(digest)) continue;
      await rm(blobPath(this.#paths, digest), { force: true });
      this.#sizes.delete(digest);
      this.#bytes -= size;
    }
  }

  #staged(digest: string): string {
    return join(this.#paths.staging, `blob-${digestHex(digest)}`);
  }
}

/** What a file takes on the disk, as du counts it. */
export async function bytesOf(path: string): Promise<number> {
  return diskBytes(await stat(path));
}

/** A stored document, verified: disks and administrators change files. */
export async function readBlob(paths: StorePaths, descriptor: Descriptor): Promise<Buffer> {
  const path = blobPath(paths, descriptor.digest);
  const content = await readFile(path);
  if (content.length !== descriptor.size || digestOf(content) !== descriptor.digest) {
    throw protocolError(path, 'the content has changed');
  }
  return content;
}
