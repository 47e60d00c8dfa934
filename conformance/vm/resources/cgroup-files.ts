/** What the kernel says of a container or pod, in the files of its cgroup. */

import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { unifiedMount } from '../../harness/cgroup-base.ts';
import type { Stage } from '../../harness/stage.ts';

/** Absolute directory of the cgroup that a container's first process is in. */
export async function directoryOf(stage: Stage, containerId: string): Promise<string> {
  const own = await readFile(`/proc/${await stage.kubelet.pidOf(containerId)}/cgroup`, 'utf8');
  return path.join(unifiedMount(), /^0::(.*)$/m.exec(own)?.[1] ?? '');
}

/** File → content, without the line break at its end. */
export async function readFiles(directory: string, names: readonly string[]): Promise<Record<string, string>> {
  const entries = await Promise.all(names.map(async (name) => [name, (await readFile(path.join(directory, name), 'utf8')).trimEnd()] as const));
  return Object.fromEntries(entries);
}

/** A number of a file such as cpu.stat. */
export async function keyed(directory: string, file: string, key: string): Promise<number> {
  const line = (await readFile(path.join(directory, file), 'utf8')).split('\n').find((each) => each.startsWith(`${key} `));
  if (line === undefined) throw new Error(`${file} has no ${key}`);
  return Number(line.slice(key.length + 1));
}

/** Every limit that one of the tests sets. */
export const LIMIT_FILES = [
  'cpu.max', 'cpu.weight', 'cpuset.cpus', 'cpuset.mems', 'memory.max', 'memory.high', 'memory.low', 'memory.swap.max', 'memory.oom.group',
  'pids.max', 'hugetlb.2MB.max', 'hugetlb.2MB.rsvd.max', 'io.max',
] as const;
