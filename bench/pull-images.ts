/** What bench/pull.ts pulls. The same bytes every time; they compress to about a third, as programs and texts do. */

import { buildImage, buildLayer } from '../conformance/harness/oci-image.ts';
import type { BuiltImage } from '../conformance/harness/oci-image.ts';
import { dir, file } from '../conformance/harness/root-fs.ts';
import type { TarEntry } from '../conformance/harness/tar-writer.ts';

const SMALL_BYTES = 4096;
const LARGE_BYTES = 16 << 20;
const FILES_IN_DIRECTORY = 100;

/** Marsaglia's xorshift32. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

function dictionary(): readonly Buffer[] {
  const next = numbers(1);
  return Array.from({ length: 4096 }, () => Buffer.from(Array.from({ length: 3 + (next() % 8) }, () => 97 + (next() % 26)).concat(32)));
}

const words = dictionary();

function text(bytes: number, seed: number): Buffer {
  const next = numbers(seed);
  const out = Buffer.alloc(bytes);
  for (let at = 0; at < bytes; ) at += words[next() % words.length]?.copy(out, at) ?? bytes;
  return out;
}

/** `files` of 4 KiB below `top`, a hundred in each directory. */
function smallFiles(top: string, files: number, seed: number): TarEntry[] {
  const entries: TarEntry[] = [dir(top)];
  for (let number = 0; number < files; number += 1) {
    const directory = `${top}/${Math.floor(number / FILES_IN_DIRECTORY)}`;
    if (number % FILES_IN_DIRECTORY === 0) entries.push(dir(directory));
    entries.push(file(`${directory}/${number}`, text(SMALL_BYTES, seed + number)));
  }
  return entries;
}

/** By the names that the bench's table has. Each number has an image with contents of its own. */
export const pulled: Readonly<Record<string, (number: number) => BuiltImage>> = {
  '12,000 small files': (number) => buildImage([buildLayer(smallFiles('small', 12_000, seed(number, 0)))], {}),
  '12 files of 16 MiB': (number) => buildImage([buildLayer([dir('large'), ...Array.from({ length: 12 }, (_, at) => file(`large/${at}`, text(LARGE_BYTES, seed(number, 20_000 + at))))])], {}),
  '8 layers of 1,500 files': (number) => buildImage(Array.from({ length: 8 }, (_, layer) => buildLayer(smallFiles(`layer-${layer}`, 1500, seed(number, 30_000 + layer * 1500)))), {}),
};

/** Images of one number have seeds below 50,000 in common, none of them 0. */
function seed(number: number, offset: number): number {
  return 1 + number * 50_000 + offset;
}
