import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BerthError } from '../errors/catalogue.ts';

/** The machine's cgroup v2 hierarchy, as berthd sees it. */
export interface CgroupHierarchy {
  /** Where cgroup2 is mounted: /sys/fs/cgroup, or /sys/fs/cgroup/unified on a hybrid host. */
  readonly mountPoint: string;
  /** Controllers that the v2 root offers. */
  readonly controllers: ReadonlySet<string>;
  /** Of `neededControllers`, those that it does not offer. */
  readonly missing: readonly string[];
}

/** What a node needs to enforce the limits that the CRI knows, with what is lost without it. */
export const neededControllers: Readonly<Record<string, string>> = {
  cpu: 'CPU quota and shares',
  cpuset: 'CPU and memory node affinity',
  io: 'I/O accounting',
  memory: 'memory limits and OOM detection',
  pids: 'process count limits',
};

/** Reads the hierarchy from /proc/self/mountinfo. Throws HOST_UNSUITABLE when cgroup2 is not mounted. */
export async function readCgroupHierarchy(): Promise<CgroupHierarchy> {
  const mountPoint = findCgroup2Mount(await readFile('/proc/self/mountinfo', 'utf8'));
  if (mountPoint === undefined) {
    throw new BerthError('HOST_UNSUITABLE', 'no cgroup2 file system is mounted: mount one on /sys/fs/cgroup');
  }
  const offered = (await readFile(join(mountPoint, 'cgroup.controllers'), 'utf8')).trim().split(/\s+/);
  const controllers = new Set(offered.filter((name) => name !== ''));
  return { mountPoint, controllers, missing: Object.keys(neededControllers).filter((name) => !controllers.has(name)) };
}

/** The mount point of the first cgroup2 mount in a mountinfo text (proc_pid_mountinfo(5)). */
export function findCgroup2Mount(mountinfo: string): string | undefined {
  for (const line of mountinfo.split('\n')) {
    const [mount, filesystem] = line.split(' - ');
    if (filesystem?.startsWith('cgroup2 ') !== true) continue;
    const fields = mount?.split(' ') ?? [];
    if (fields[4] !== undefined) return unescapeOctal(fields[4]);
  }
  return undefined;
}

function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
}

/** One sentence about the limits that are not enforced; empty when all are. */
export function describeMissing(hierarchy: CgroupHierarchy): string {
  if (hierarchy.missing.length === 0) return '';
  const losses = hierarchy.missing.map((name) => `${name} (${neededControllers[name]})`);
  return `not enforced, because cgroup v2 at ${hierarchy.mountPoint} lacks the controllers: ${losses.join(', ')}`;
}
