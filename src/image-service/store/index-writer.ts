/** Writes images/index.json, also when the disk is full: only a new index lets go of images. */

import { link, open, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { replaceFile, syncDirectory } from './durable.ts';
import { formatIndex } from './index-file.ts';
import type { IndexEntry } from './index-file.ts';
import type { StorePaths } from './paths.ts';

/** An index takes some 600 bytes for each name of an image. */
const reserveBytes = 1024 * 1024;

export async function writeIndex(paths: StorePaths, entries: readonly IndexEntry[]): Promise<void> {
  const content = formatIndex(entries);
  try {
    await replaceIndex(paths, content);
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
    if (code !== 'ENOSPC' && code !== 'EDQUOT') throw cause;
    await rm(paths.reserve, { force: true });
    await replaceIndex(paths, content);
  }
}

/** The index before this one stays beside it, by a second name that takes no space. */
async function replaceIndex(paths: StorePaths, content: string): Promise<void> {
  const previous = join(paths.staging, 'index.previous.json');
  await rm(previous, { force: true });
  await link(paths.index, previous);
  await rename(previous, paths.previousIndex);
  await replaceFile(paths.index, join(paths.staging, 'index.json'), content);
  await syncDirectory(paths.images);
}

/** Sets the space aside where it is missing and the disk has it. */
export async function makeReserve(paths: StorePaths): Promise<void> {
  const present = await stat(paths.reserve).then(({ size }) => size >= reserveBytes, () => false);
  if (present) return;
  try {
    const file = await open(paths.reserve, 'w', 0o600);
    try {
      // Random, so that no file system stores it in less.
      await file.writeFile(globalThis.crypto.getRandomValues(new Uint8Array(65_536)));
      for (let at = 65_536; at < reserveBytes; at += 65_536) await file.writeFile(globalThis.crypto.getRandomValues(new Uint8Array(65_536)));
    } finally {
      await file.close();
    }
  } catch {
    // A disk as full as this keeps its last bytes for what they are needed for.
    await rm(paths.reserve, { force: true });
  }
}
