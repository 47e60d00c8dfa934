import { readFile, statfs } from 'node:fs/promises';
import type { FileSystem } from './metric-family.ts';

export async function readFileSystem(directory: string): Promise<FileSystem> {
  const [{ blocks, bsize, files, ffree }, mountinfo] = await Promise.all([
    statfs(directory, { bigint: true }),
    readFile('/proc/self/mountinfo', 'utf8'),
  ]);
  return { device: mountSource(mountinfo, directory), bytes: blocks * bsize, inodes: files, inodesFree: ffree };
}

/** What the file system of a path is mounted from, by a mountinfo text (proc_pid_mountinfo(5)). */
export function mountSource(mountinfo: string, path: string): string {
  let found = { mountPoint: '', source: '' };
  for (const line of mountinfo.split('\n')) {
    const [left = '', right = ''] = line.split(' - ');
    const mountPoint = left.split(' ')[4] ?? '';
    const source = right.split(' ')[1] ?? '';
    const holds = mountPoint === '/' || path === mountPoint || path.startsWith(`${mountPoint}/`);
    // A later mount lies above an earlier one on the same point.
    if (mountPoint !== '' && holds && mountPoint.length >= found.mountPoint.length) found = { mountPoint, source };
  }
  return found.source;
}
