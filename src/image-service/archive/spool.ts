/**
 * Lays an image archive out on disk, because nothing in the format says in which order its parts come. Files get
 * numbers for names, so that nothing in the archive decides where anything is written.
 */

import { createWriteStream } from 'node:fs';
import { join, posix } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { extract } from 'tar-stream';
import type { Extract, Header } from 'tar-stream';
import { BerthError, wrapError } from '../../errors/catalogue.ts';

export interface SpooledFile {
  /** Absolute path on this node. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
}

/** Name within the archive → what it is. Links are followed. */
export type SpooledFiles = ReadonlyMap<string, SpooledFile>;

/** An image has at most some hundred layers, an archive some dozen images. */
const maxEntries = 20_000;

const gzipMagic = Buffer.from([0x1f, 0x8b]);
const zstdMagic = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);

/** Rejects with ARCHIVE_REFUSED for what is no tar archive, plain or in gzip or zstd. `directory` exists and is the caller's to delete. */
export async function spoolArchive(input: AsyncIterable<Buffer>, directory: string, signal: AbortSignal): Promise<SpooledFiles> {
  const files = new Map<string, SpooledFile>();
  const links = new Map<string, string>();
  const archive = extract();
  const fed = pipeline(Readable.from(decompressed(input), { objectMode: false }), archive, { signal });
  // Awaited below; until then a failure also ends the iteration.
  fed.catch(() => undefined);
  try {
    for await (const entry of archive) {
      if (files.size + links.size >= maxEntries) throw refused(`it has more than ${maxEntries} entries`);
      await spoolEntry(entry, join(directory, String(files.size)), files, links);
    }
    await fed;
  } catch (cause) {
    signal.throwIfAborted();
    if (cause instanceof BerthError) throw cause;
    throw (cause as NodeJS.ErrnoException).syscall === undefined ? refused(messageOf(cause), cause) : wrapError('lay the archive out', cause);
  }
  for (const [name, target] of links) {
    const file = files.get(target);
    if (file !== undefined) files.set(name, file);
  }
  return files;
}

export function refused(problem: string, cause?: unknown): BerthError {
  return new BerthError('ARCHIVE_REFUSED', `image archive: ${problem}`, { cause });
}

type Entry = Extract extends AsyncIterable<infer One> ? One : never;

async function spoolEntry(entry: Entry, path: string, files: Map<string, SpooledFile>, links: Map<string, string>): Promise<void> {
  const { header } = entry;
  const name = clean(header.name);
  if (header.type === 'file' || header.type === 'contiguous-file') {
    await pipeline(entry, createWriteStream(path, { flags: 'wx', mode: 0o600 }));
    files.set(name, { path, size: header.size });
    return;
  }
  const target = linkTarget(header, name);
  if (target !== undefined) links.set(name, target);
  entry.resume();
}

/** `docker save` links layers that several images have. */
function linkTarget({ type, linkname }: Header, name: string): string | undefined {
  if (type === 'link') return clean(linkname);
  return type === 'symlink' ? clean(posix.join(posix.dirname(name), linkname)) : undefined;
}

function clean(name: string): string {
  return posix.normalize(`/${name}`).slice(1);
}

async function* decompressed(input: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  const chunks = input[Symbol.asyncIterator]();
  let start = Buffer.alloc(0);
  for (let ended = false; start.length < zstdMagic.length && !ended; ) {
    const next = await chunks.next();
    ended = next.done === true;
    if (next.done !== true) start = Buffer.concat([start, next.value]);
  }
  const whole = async function* (): AsyncGenerator<Buffer, void, undefined> {
    if (start.length > 0) yield start;
    for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) yield next.value;
  };
  const decoder = decoderFor(start);
  if (decoder === undefined) {
    yield* whole();
    return;
  }
  const fed = pipeline(Readable.from(whole(), { objectMode: false }), decoder);
  fed.catch(() => undefined);
  yield* decoder as AsyncIterable<Buffer>;
  await fed;
}

function decoderFor(start: Buffer): ReturnType<typeof createGunzip> | ReturnType<typeof createZstdDecompress> | undefined {
  if (start.subarray(0, gzipMagic.length).equals(gzipMagic)) return createGunzip();
  return start.subarray(0, zstdMagic.length).equals(zstdMagic) ? createZstdDecompress() : undefined;
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
