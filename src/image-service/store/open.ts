/**
 * Opens the store: makes what is missing, empties what an earlier run left unfinished, and loads the
 * index. What does not load is put aside and logged, the rest works.
 */

import { mkdir, readFile, readdir, rename, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Logger } from 'pino';
import { wrapError } from '../../errors/catalogue.ts';
import { digestOf, isDigest } from '../digest.ts';
import { parseJsonObject, protocolError } from '../registry/descriptor.ts';
import { BlobStore } from './blob-store.ts';
import { ImageStore } from './image-store.ts';
import { formatIndex, parseIndex } from './index-file.ts';
import type { ParsedIndex } from './index-file.ts';
import { LayerStore } from './layer-store.ts';
import type { LayerRecord } from './layer-store.ts';
import { loadImages } from './load-images.ts';
import { layerRecordFile, layerTree, storePaths } from './paths.ts';
import type { StorePaths } from './paths.ts';
import { indexEntries } from './stored-image.ts';
import { Trash } from './trash.ts';
import type { Unpacker } from './unpacker.ts';

export async function openImageStore(root: string, unpacker: Unpacker, log: Logger): Promise<ImageStore> {
  const paths = storePaths(root);
  try {
    await makeDirectories(paths);
    const trash = new Trash(paths, unpacker, log);
    await trash.emptyLeftovers();
    const layers = new LayerStore(paths, trash, await loadLayers(paths, log));
    const blobs = new BlobStore(paths, await loadBlobs(paths, log));
    const parsed = await loadIndex(paths, log);
    const { images, bad } = await loadImages(paths, parsed.entries, layers);
    await quarantineEntries(paths, [...parsed.bad, ...bad], log);
    if (parsed.bad.length + bad.length > 0) await writeFile(paths.index, formatIndex(indexEntries(images)), { mode: 0o600, flush: true });
    return new ImageStore({ paths, layers, blobs, trash, unpacker, images, log });
  } catch (cause) {
    throw wrapError(`open the image store ${root}`, cause);
  }
}

async function makeDirectories(paths: StorePaths): Promise<void> {
  await mkdir(paths.root, { recursive: true, mode: 0o711 });
  for (const path of [paths.blobs, paths.quarantine, paths.layers]) await mkdir(path, { recursive: true, mode: 0o700 });
  await writeFile(paths.layout, '{"imageLayoutVersion":"1.0.0"}\n', { mode: 0o600 });
}

async function loadLayers(paths: StorePaths, log: Logger): Promise<readonly LayerRecord[]> {
  const records: LayerRecord[] = [];
  for (const name of await readdir(paths.layers)) {
    const directory = join(paths.layers, name);
    try {
      const record = parseLayerRecord(await readFile(join(directory, layerRecordFile)), directory);
      if (record.diffId !== `sha256:${name}`) throw protocolError(directory, `its record is of ${record.diffId}`);
      if (!(await stat(join(directory, layerTree))).isDirectory()) throw protocolError(directory, 'it has no tree');
      records.push(record);
    } catch (cause) {
      log.error({ err: cause, path: directory }, 'a stored layer does not load; it is put aside and will be pulled again when needed');
      await putAside(paths, directory);
    }
  }
  return records;
}

function parseLayerRecord(content: Uint8Array, what: string): LayerRecord {
  const { digest, diffId, size, tarBytes, unpackedBytes, inodes, skeletonBytes } = parseJsonObject(content, what);
  const count = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0;
  const areDigests = typeof digest === 'string' && isDigest(digest) && typeof diffId === 'string' && isDigest(diffId);
  const inputIsCounted = count(size) && count(tarBytes);
  if (!areDigests || !inputIsCounted || !count(unpackedBytes) || !count(inodes) || !count(skeletonBytes)) {
    throw protocolError(what, 'its record lacks a field');
  }
  return { digest, diffId, size, tarBytes, unpackedBytes, inodes, skeletonBytes };
}

async function loadIndex(paths: StorePaths, log: Logger): Promise<ParsedIndex> {
  for (const path of [paths.index, paths.previousIndex]) {
    try {
      const content = await readFile(path);
      const parsed = parseIndex(content, path);
      if (path !== paths.index) await writeFile(paths.index, content, { mode: 0o600, flush: true });
      return parsed;
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') continue;
      log.error({ err: cause, path }, 'the index of the image store does not load; it is put aside');
      await putAside(paths, path);
    }
  }
  await writeFile(paths.index, formatIndex([]), { mode: 0o600, flush: true });
  return { entries: [], bad: [] };
}

/** They are small and few, so each is checked whole; one that changed must not keep its name from a pull. */
async function loadBlobs(paths: StorePaths, log: Logger): Promise<ReadonlyMap<string, number>> {
  const sizes = new Map<string, number>();
  for (const name of await readdir(paths.blobs)) {
    const path = join(paths.blobs, name);
    try {
      const content = await readFile(path);
      if (digestOf(content) !== `sha256:${name}`) throw protocolError(path, 'the content has changed');
      sizes.set(`sha256:${name}`, content.length);
    } catch (cause) {
      log.error({ err: cause, path }, 'a stored manifest or config does not load; it is put aside');
      await putAside(paths, path);
    }
  }
  return sizes;
}

async function quarantineEntries(
  paths: StorePaths,
  bad: readonly { readonly entry: unknown; readonly reason: Error }[],
  log: Logger,
): Promise<void> {
  for (const [position, { entry, reason }] of bad.entries()) {
    log.error({ err: reason, entry }, 'a stored image does not load; it is put aside and will be pulled again when needed');
    const file = join(paths.quarantine, `${Date.now()}-${position}-entry.json`);
    await writeFile(file, `${JSON.stringify({ entry, reason: reason.message })}\n`, { mode: 0o600 });
  }
}

async function putAside(paths: StorePaths, path: string): Promise<void> {
  await rename(path, join(paths.quarantine, `${Date.now()}-${basename(path)}`));
}
