import { lstat, opendir } from 'node:fs/promises';
import { join } from 'node:path';

export interface DiskUsage {
  readonly bytes: number;
  readonly inodes: number;
}

/** st_blocks counts in these, whatever the file system's own block is (stat(2)). */
const blockSize = 512;

/**
 * What a tree takes on the disk, as du(1) counts it: allocated blocks, a file with several names once. One
 * file after the other, so that it never holds more than one thread of the pool. What disappears meanwhile does
 * not count. Undefined when the tree itself is not there.
 */
export async function diskUsage(root: string, signal: AbortSignal): Promise<DiskUsage | undefined> {
  const top = await lstat(root).catch(gone);
  if (top === undefined) return undefined;
  const sum = { bytes: top.blocks * blockSize, inodes: 1 };
  const linked = new Set<string>();
  for (const waiting = [root]; waiting.length > 0; ) {
    const directory = waiting.pop() ?? '';
    const entries = await opendir(directory).catch(gone);
    if (entries === undefined) continue;
    for await (const entry of entries) {
      signal.throwIfAborted();
      const path = join(directory, entry.name);
      const stats = await lstat(path).catch(gone);
      if (stats === undefined) continue;
      if (stats.isDirectory()) waiting.push(path);
      else if (stats.nlink > 1 && seenBefore(linked, `${stats.dev}:${stats.ino}`)) continue;
      sum.bytes += stats.blocks * blockSize;
      sum.inodes += 1;
    }
  }
  return sum;
}

/**
 * The same of what a container has written: the upper directory of its root, and beside it the volumes of its image,
 * which would else be a way around every limit on it.
 */
export async function writtenBy(upper: string, signal: AbortSignal): Promise<DiskUsage | undefined> {
  const root = await diskUsage(upper, signal);
  const volumes = root === undefined ? undefined : await diskUsage(join(upper, '..', 'volumes'), signal);
  return root === undefined || volumes === undefined ? root : { bytes: root.bytes + volumes.bytes, inodes: root.inodes + volumes.inodes };
}

function seenBefore(seen: Set<string>, key: string): boolean {
  if (seen.has(key)) return true;
  seen.add(key);
  return false;
}

function gone(cause: unknown): undefined {
  const code = (cause as NodeJS.ErrnoException).code;
  if (code !== 'ENOENT' && code !== 'ENOTDIR') throw cause;
  return undefined;
}
