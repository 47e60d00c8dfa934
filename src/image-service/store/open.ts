/**
 * Opens the store: makes what is missing, empties what an earlier run left unfinished, and loads the
 * index. What does not load is put aside and logged, the rest works.
 */

import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { wrapError } from '../../errors/catalogue.ts';
import { digestOf } from '../digest.ts';
import { protocolError } from '../registry/descriptor.ts';
import { readBootId } from '../../state/boot-id.ts';
import { BlobStore, bytesOf } from './blob-store.ts';
import { replaceFile, syncDirectory } from './durable.ts';
import { ImageStore } from './image-store.ts';
import { makeReserve, writeIndex } from './index-writer.ts';
import { formatIndex, parseIndex } from './index-file.ts';
import type { ParsedIndex } from './index-file.ts';
import { LayerStore } from './layer-store.ts';
import { loadImages } from './load-images.ts';
import { loadLayers } from './load-layers.ts';
import { Mending } from './mending.ts';
import { storePaths } from './paths.ts';
import type { StorePaths } from './paths.ts';
import { Quarantine } from './quarantine.ts';
import { indexEntries } from './stored-image.ts';
import { Trash } from './trash.ts';
import type { Unpacker } from './unpacker.ts';

const layoutContent = '{"imageLayoutVersion":"1.0.0"}\n';

export async function openImageStore(root: string, unpacker: Unpacker, log: Logger): Promise<ImageStore> {
  const paths = storePaths(root);
  try {
    await makeDirectories(paths);
    const trash = new Trash(paths, unpacker, log);
    await trash.emptyLeftovers();
    const crashed = await markRunning(paths);
    if (crashed) log.warn({ root }, 'the machine went down while the store was open; every layer is counted');
    const quarantine = await Quarantine.open({ paths, trash, unpacker, log });
    const layers = new LayerStore(paths, trash, await loadLayers(paths, unpacker, crashed, quarantine, log));
    const blobs = new BlobStore(paths, await loadBlobs(paths, quarantine, log));
    const parsed = await loadIndex(paths, quarantine, log);
    const { images, bad } = await loadImages(paths, parsed.entries, layers);
    await quarantineEntries(paths, [...parsed.bad, ...bad], quarantine, log);
    const mending = await Mending.open(paths);
    if (quarantine.taken > 0) await mending.begin();
    if (parsed.bad.length + bad.length > 0) await writeIndex(paths, indexEntries(images));
    await makeReserve(paths);
    return new ImageStore({ paths, layers, blobs, trash, quarantine, mending, unpacker, images, log });
  } catch (cause) {
    throw wrapError(`open the image store ${root}`, cause);
  }
}

async function makeDirectories(paths: StorePaths): Promise<void> {
  await mkdir(paths.root, { recursive: true, mode: 0o711 });
  for (const path of [paths.blobs, paths.layers]) await mkdir(path, { recursive: true, mode: 0o700 });
  // Not on a full disk, where a truncated file could not be written again.
  const present = await readFile(paths.layout, 'utf8').catch(() => '');
  if (present !== layoutContent) await writeFile(paths.layout, layoutContent, { mode: 0o600 });
}

/**
 * True when the store was open at the end of another boot. On a full disk the mark stays that of an earlier
 * boot, which costs a check too many at the next start.
 */
async function markRunning(paths: StorePaths): Promise<boolean> {
  const bootId = await readBootId();
  const last = await readFile(paths.running, 'utf8').catch(() => undefined);
  if (last?.trim() === bootId) return false;
  await replaceFile(paths.running, join(paths.staging, 'running'), `${bootId}\n`)
    .then(() => syncDirectory(paths.images))
    .catch(() => undefined);
  return last !== undefined;
}

async function loadIndex(paths: StorePaths, quarantine: Quarantine, log: Logger): Promise<ParsedIndex> {
  for (const path of [paths.index, paths.previousIndex]) {
    try {
      const content = await readFile(path, 'utf8');
      const parsed = parseIndex(Buffer.from(content), path);
      if (path !== paths.index) await replaceFile(paths.index, join(paths.staging, 'index.json'), content);
      return parsed;
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') continue;
      log.error({ err: cause, path }, 'the index of the image store does not load; it is put aside');
      await quarantine.take(path);
    }
  }
  await replaceFile(paths.index, join(paths.staging, 'index.json'), formatIndex([]));
  return { entries: [], bad: [] };
}

/** They are small and few, so each is checked whole; one that changed must not keep its name from a pull. */
async function loadBlobs(paths: StorePaths, quarantine: Quarantine, log: Logger): Promise<ReadonlyMap<string, number>> {
  const sizes = new Map<string, number>();
  for (const name of await readdir(paths.blobs)) {
    const path = join(paths.blobs, name);
    try {
      const content = await readFile(path);
      if (digestOf(content) !== `sha256:${name}`) throw protocolError(path, 'the content has changed');
      sizes.set(`sha256:${name}`, await bytesOf(path));
    } catch (cause) {
      log.error({ err: cause, path }, 'a stored manifest or config does not load; it is put aside');
      await quarantine.take(path);
    }
  }
  return sizes;
}

async function quarantineEntries(
  paths: StorePaths,
  bad: readonly { readonly entry: unknown; readonly reason: Error }[],
  quarantine: Quarantine,
  log: Logger,
): Promise<void> {
  for (const [position, { entry, reason }] of bad.entries()) {
    log.error({ err: reason, entry }, 'a stored image does not load; it is put aside and will be pulled again when needed');
    const file = join(paths.quarantine, `${Date.now()}-${position}-entry.json`);
    // For the operator alone; a full disk must not keep the store from opening.
    await writeFile(file, `${JSON.stringify({ entry, reason: reason.message })}\n`, { mode: 0o600 }).catch(() => undefined);
    await quarantine.wrote(file);
  }
}
