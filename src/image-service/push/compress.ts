/** A stored layer as a gzip file, which is what registries and other nodes take. */

import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { BerthError, wrapError } from '../../errors/catalogue.ts';
import { layerTar } from '../archive/layer-tar.ts';
import type { TarParts } from '../archive/layer-tar.ts';
import { layerType } from '../archive/plain-manifest.ts';
import type { Descriptor } from '../registry/descriptor.ts';

/** What gzip and Docker take, too: more costs much time for little space. */
export const defaultLevel = 6;

/** Bytes; each one is a task for Node's thread pool, which other work waits for. */
const pieceBytes = 64 * 1024;

/**
 * Writes the file, which must not be there yet. The same layer at the same level gives the same bytes. `progress` is
 * called with the bytes of the tar that are done.
 */
export async function compressLayer(
  parts: TarParts,
  { diffId, level, file }: { readonly diffId: string; readonly level: number; readonly file: string },
  progress: (bytes: number) => void,
  signal: AbortSignal,
): Promise<Descriptor> {
  const hash = createHash('sha256');
  let size = 0;
  let done = 0;
  const tar = async function* (): AsyncGenerator<Buffer, void, undefined> {
    for await (const chunk of layerTar(parts, diffId, signal)) {
      yield chunk;
      done += chunk.length;
      progress(done);
    }
  };
  const counted = async function* (compressed: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
    for await (const chunk of compressed) {
      hash.update(chunk);
      size += chunk.length;
      yield chunk;
    }
  };
  try {
    await pipeline(tar, createGzip({ level, chunkSize: pieceBytes }), counted, createWriteStream(file, { flags: 'wx', mode: 0o600 }), { signal });
  } catch (cause) {
    signal.throwIfAborted();
    throw cause instanceof BerthError ? cause : wrapError(`compress layer ${diffId} into ${file}`, cause);
  }
  return { mediaType: `${layerType}+gzip`, digest: `sha256:${hash.digest('hex')}`, size };
}
