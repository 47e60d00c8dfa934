/** The cgroup under which all pods of one test process live, as the kubelet would make it. */

import { readFileSync } from 'node:fs';
import { mkdir, rmdir } from 'node:fs/promises';
import path from 'node:path';

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

let made = 0;

export async function makeCgroupBase(): Promise<CgroupBase> {
  made += 1;
  // The PID is the world's: the name must also differ from one world to the next.
  const name = `berth-conformance-${Date.now().toString(36)}-${process.pid}-${made}`;
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
