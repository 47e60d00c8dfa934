/** Stands in for berth-unpack in tests that are not about unpacking: keeps the tar as one file. */

import { createHash } from 'node:crypto';
import { readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { BerthError } from '../../errors/catalogue.ts';
import { digestOf } from '../digest.ts';
import type { Unpacker } from '../store/unpacker.ts';

export interface FakeUnpacker extends Unpacker {
  /** Directories flushed so far. */
  readonly synced: string[];
  /** Thrown instead of the result of the next layers. */
  failWith: BerthError | undefined;
  /** Directories that the next layers only imply. */
  implied: number;
  /** Thrown in the middle of the next tars that are made again. */
  packFailsWith: BerthError | undefined;
}

export function fakeUnpacker(): FakeUnpacker {
  const synced: string[] = [];
  const fake: FakeUnpacker = {
    synced,
    failWith: undefined,
    implied: 0,
    packFailsWith: undefined,
    async layer({ tree, skeleton }, input, what, signal) {
      const hash = createHash('sha256');
      const chunks: Buffer[] = [];
      for await (const chunk of input) {
        signal.throwIfAborted();
        hash.update(chunk);
        chunks.push(chunk);
      }
      if (fake.failWith !== undefined) throw fake.failWith;
      const packed = Buffer.concat(chunks);
      let tar: Buffer;
      try {
        tar = gunzipSync(packed);
      } catch (cause) {
        throw new BerthError('LAYER_REFUSED', `${what}: decompress`, { cause });
      }
      await writeFile(join(tree, 'layer.tar'), tar);
      await writeFile(skeleton, 'skeleton');
      return {
        digest: `sha256:${hash.digest('hex')}`,
        diffId: digestOf(tar),
        size: packed.length,
        tarBytes: tar.length,
        unpackedBytes: (await stat(join(tree, 'layer.tar'))).blocks * 512,
        inodes: 1,
        skeletonBytes: 'skeleton'.length,
        contentBytes: tar.length,
        implied: fake.implied,
      };
    },
    async *pack({ tree }) {
      if (fake.packFailsWith !== undefined) throw fake.packFailsWith;
      yield await readFile(join(tree, 'layer.tar'));
    },
    async parents() {
      return { unpackedBytes: 0, contentBytes: 0, inodes: 0, implied: 0 };
    },
    async check(directory) {
      const names = await readdir(directory, { recursive: true });
      const found = await Promise.all(names.map((name) => stat(join(directory, name))));
      const files = found.filter((entry) => entry.isFile());
      return {
        unpackedBytes: found.reduce((sum, { blocks }) => sum + blocks * 512, 0),
        contentBytes: files.reduce((sum, { size }) => sum + size, 0),
        inodes: found.length,
        implied: 0,
      };
    },
    async sync(directory) {
      synced.push(directory);
    },
    async remove(directory) {
      await rm(directory, { recursive: true, force: true });
    },
  };
  return fake;
}
