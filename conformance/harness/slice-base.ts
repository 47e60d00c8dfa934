/** The slices of pods, as a kubelet with the systemd driver makes them. */

import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import type { CgroupBase } from './cgroup-base.ts';
import { unifiedMount } from './cgroup-base.ts';

const run = promisify(execFile);
const MANAGER = ['org.freedesktop.systemd1', '/org/freedesktop/systemd1', 'org.freedesktop.systemd1.Manager'];

/** Of the pods that ask for nothing; below it, one for each pod. */
const PARENT = 'kubepods-besteffort.slice';

/** A dash would be another level. */
const sliceOf = (uid: string): string => `kubepods-besteffort-pod${uid.replaceAll('-', '_')}.slice`;

export async function makeSliceBase(): Promise<CgroupBase> {
  // As the tests of this machine begin: whoever made it before has gone.
  await start(PARENT);
  const directory = path.join(unifiedMount(), 'kubepods.slice', PARENT);
  return {
    directory,
    makePod: async (uid) => {
      await start(sliceOf(uid));
      return `/kubepods.slice/${PARENT}/${sliceOf(uid)}`;
    },
    removePod: async (uid) => {
      await run('systemctl', ['stop', sliceOf(uid)]).catch(() => undefined);
    },
    remove: async () => {
      await run('systemctl', ['stop', 'kubepods.slice']);
    },
  };
}

async function start(slice: string): Promise<void> {
  const accounting = ['CPUAccounting', 'MemoryAccounting', 'TasksAccounting', 'IOAccounting'].flatMap((name) => [name, 'b', 'true']);
  await run('busctl', ['call', ...MANAGER, 'StartTransientUnit', 'ssa(sv)a(sa(sv))', slice, 'fail', String(accounting.length / 3), ...accounting, '0']);
}
