/** Writes that survive a power cut. */

import { open, rename } from 'node:fs/promises';

/** Makes the renames in a directory durable. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** A reader finds the old content or the new, also after a power cut. The directory is yet to be synced. */
export async function replaceFile(path: string, temporary: string, content: string): Promise<void> {
  const file = await open(temporary, 'w', 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}
