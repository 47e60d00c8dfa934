/** The cgroup under which all pods of one test process live, as the kubelet would make it. */

import { readFileSync } from 'node:fs';
import { mkdir, readdir, rmdir } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** The machine's cgroup2 mount: /sys/fs/cgroup, or /sys/fs/cgroup/unified beside version 1. */
export function unifiedMount(): string {
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) {
    const [left = '', right = ''] = line.split(' - ');
    if (right.startsWith('cgroup2 ')) return left.split(' ')[4] ?? '';
  }
  throw new Error('no cgroup2 mount on this machine');
}

export interface CgroupBase {
  readonly directory: string;
  /** Makes the pod's cgroup and returns it as the CRI wants it: relative to the mount. */
  makePod(uid: string): Promise<string>;
  /** Fails quietly when something is left inside: the leak check names it. */
  removePod(uid: string): Promise<void>;
  remove(): Promise<void>;
}

export const CGROUP_PREFIX = 'berth-conformance-';

let made = 0;

export async function makeCgroupBase(): Promise<CgroupBase> {
  made += 1;
  // The PID is the world's: the name also says which world.
  const name = `${CGROUP_PREFIX}${process.env['BERTH_WORLD'] ?? 'none'}-${process.pid}-${made}`;
  const directory = path.join(unifiedMount(), name);
  await mkdir(directory);
  return {
    directory,
    makePod: async (uid) => {
      await mkdir(path.join(directory, `pod${uid}`), { recursive: true });
      return `/${name}/pod${uid}`;
    },
    removePod: (uid) => rmdir(path.join(directory, `pod${uid}`)).catch(() => undefined),
    remove: () => rmdir(directory).catch(() => undefined),
  };
}

/** Removes the cgroups of a world that has ended, deepest first; its processes end with it. */
export async function removeCgroups(prefix: string): Promise<void> {
  const mount = unifiedMount();
  for (const name of (await readdir(mount)).filter((entry) => entry.startsWith(prefix))) {
    const base = path.join(mount, name);
    const found = await readdir(base, { recursive: true, withFileTypes: true }).catch(() => []);
    const below = found.filter((entry) => entry.isDirectory()).map((entry) => path.join(entry.parentPath, entry.name));
    for (const directory of [base, ...below].sort((a, b) => b.length - a.length)) await eventuallyRemove(directory);
  }
}

/** A killed process leaves its cgroup a moment after it is dead. */
export async function eventuallyRemove(directory: string): Promise<void> {
  for (let attempt = 0; attempt < 50; attempt += 1) {
    const failure = await rmdir(directory).then(
      () => undefined,
      (error: NodeJS.ErrnoException) => error.code,
    );
    if (failure !== 'EBUSY') return;
    await sleep(20);
  }
}
