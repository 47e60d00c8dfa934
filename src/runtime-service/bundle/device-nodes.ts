import type { Dirent, Stats } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** A device of the OCI runtime spec. */
export interface OciDevice {
  /** In the container; absolute. */
  readonly path: string;
  readonly type: 'c' | 'b' | 'p';
  readonly major: number;
  readonly minor: number;
  /** Permission bits. */
  readonly fileMode: number;
  readonly uid: number;
  readonly gid: number;
}

/** Directories of devices that the container has of its own, and what others keep beside their devices. */
const skippedDirectories: ReadonlySet<string> = new Set(['pts', 'shm', 'mqueue', 'fd', '.udev', '.lxc', '.lxd-mounts']);

/** Nodes that the container has of its own: a console, and the multiplexer of its own pseudo-terminals. */
const ownNodes: ReadonlySet<string> = new Set(['/dev/console', '/dev/ptmx']);

/** Far more than a node's /dev holds: whoever names another directory shall not have all of a disk looked through. */
const maxEntries = 50_000;

/** The directory holds more than a directory of devices does. */
export class TooManyEntries extends Error {}

/** Every device below the directory `source` of the node, to appear below `target`. Throws TooManyEntries, or what readdir does. */
export async function devicesBelow(source: string, target: string): Promise<OciDevice[]> {
  const budget = { left: maxEntries };
  return walk(source, target, budget, await readdir(source, { withFileTypes: true }));
}

async function walk(source: string, target: string, budget: { left: number }, entries: readonly Dirent[]): Promise<OciDevice[]> {
  const found: OciDevice[] = [];
  budget.left -= entries.length;
  if (budget.left < 0) throw new TooManyEntries(`${maxEntries} files and more are below it`);
  for (const entry of entries) {
    const path = join(source, entry.name);
    if (entry.isDirectory() && !skippedDirectories.has(entry.name)) {
      // As devices do, their directories come and go.
      const below = await readdir(path, { withFileTypes: true }).catch(() => []);
      found.push(...(await walk(path, join(target, entry.name), budget, below)));
    }
    if (!entry.isCharacterDevice() && !entry.isBlockDevice()) continue;
    if (ownNodes.has(path)) continue;
    // Devices come and go; one that has gone since the directory was read is none.
    const info = await stat(path).catch(() => undefined);
    const node = info === undefined ? undefined : toDevice(info, join(target, entry.name));
    if (node !== undefined) found.push(node);
  }
  return found;
}

/** The device that a stat of the node found; undefined for another kind of file. */
export function toDevice(info: Stats, path: string): OciDevice | undefined {
  const type = info.isCharacterDevice() ? 'c' : info.isBlockDevice() ? 'b' : undefined;
  if (type === undefined) return undefined;
  const { major, minor } = deviceNumbers(BigInt(info.rdev));
  return { path, type, major, minor, fileMode: info.mode & 0o7777, uid: info.uid, gid: info.gid };
}

/** The kernel's encoding of dev_t towards user space (linux/kdev_t.h, glibc's gnu_dev_major). */
function deviceNumbers(rdev: bigint): { readonly major: number; readonly minor: number } {
  const major = ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & ~0xfffn);
  const minor = (rdev & 0xffn) | ((rdev >> 12n) & ~0xffn);
  return { major: Number(major), minor: Number(minor) };
}
