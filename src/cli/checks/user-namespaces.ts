/** What pods in user namespaces need: the namespaces, and mounts that map ids. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { isAtLeast } from './kernel-version.ts';
import { optional, type Check } from './check.ts';

const run = promisify(execFile);

/** First kernel whose mounts of a file system can map ids (FS_ALLOW_IDMAP in its sources); what is not here cannot. */
const idMapped: Readonly<Record<string, readonly [number, number]>> = {
  ext4: [5, 12], xfs: [5, 12], btrfs: [5, 15], f2fs: [5, 18], overlay: [5, 19], erofs: [5, 19], squashfs: [6, 2], tmpfs: [6, 3], ceph: [6, 7], zfs: [5, 12],
};

/** `directory` is on the file system of the layers. */
export async function userNamespaceChecks(directory: string, kernel: string): Promise<Check[]> {
  const [limit, mountinfo] = await Promise.all([
    readFile('/proc/sys/user/max_user_namespaces', 'utf8').catch(() => '0'),
    readFile('/proc/self/mountinfo', 'utf8'),
  ]);
  const problem = await run('unshare', ['--user', '--map-root-user', 'true']).then(() => '', (error: unknown) => (error instanceof Error ? error.message.split('\n').at(-2) ?? error.message : 'refused'));
  const found = problem === '' ? `work, at most ${limit.trim()}` : problem;
  return [
    optional({ area: 'kernel', name: 'user namespaces', found }, problem === '', 'pods with hostUsers: false are refused; see user.max_user_namespaces (sysctl)'),
    judgeIdMapping(fileSystemType(mountinfo, directory), kernel),
  ];
}

export function judgeIdMapping(type: string, kernel: string): Check {
  const since = idMapped[type];
  const works = since !== undefined && isAtLeast(kernel, since);
  const cost = since === undefined ? 'pods with hostUsers: false need root on ext4, xfs or btrfs' : `needs kernel ${since.join('.')}`;
  return optional({ area: 'kernel', name: 'id-mapped mounts of root', found: type }, works, cost);
}

/** The type of the file system that a path is on, by a mountinfo text (proc_pid_mountinfo(5)). */
export function fileSystemType(mountinfo: string, path: string): string {
  let found = { mountPoint: '', type: '' };
  for (const line of mountinfo.split('\n')) {
    const [left = '', right = ''] = line.split(' - ');
    const mountPoint = left.split(' ')[4] ?? '';
    const holds = mountPoint === '/' || path === mountPoint || path.startsWith(`${mountPoint}/`);
    // A later mount lies above an earlier one on the same point.
    if (mountPoint !== '' && holds && mountPoint.length >= found.mountPoint.length) found = { mountPoint, type: right.split(' ')[0] ?? '' };
  }
  return found.type;
}
