import { open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Makes a file that another process, or this one after a crash, finds whole or not at all. It is on
 * disk only after `syncFile`: until then a power loss may leave it empty or undo it.
 */
export async function placeFile(path: string, content: string): Promise<void> {
  await throughTemporary(path, async (temporary) => writeFile(temporary, content, { mode: 0o600 }));
}

/** Makes a file's content and name durable. */
export async function syncFile(path: string): Promise<void> {
  await Promise.all([synced(path), synced(dirname(path))]);
}

/**
 * Replaces a file so that a reader, or a crash at any point, finds the old content or the new and
 * never a part. The data is on disk before the rename: without that, ext4 and XFS may leave an empty
 * file behind after a power loss.
 */
export async function replaceFile(path: string, content: string): Promise<void> {
  await throughTemporary(path, async (temporary) => {
    await writeFile(temporary, content, { mode: 0o600 });
    await synced(temporary);
  });
}

async function throughTemporary(path: string, write: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = `${path}.tmp`;
  try {
    await write(temporary);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

async function synced(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Undefined when there is no such file. */
export async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
