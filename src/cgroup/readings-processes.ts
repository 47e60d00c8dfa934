import { readlinkSync } from 'node:fs';
import type { CgroupFiles } from './kernel-file.ts';
import { directoriesIn, namesIn, readKernelFile, readKernelList } from './kernel-file.ts';
import { keyedValue, parseNumbers } from './readings-parse.ts';

/** The processes of a cgroup and of those below it: an exec has a cgroup of its own below its container's. */
export function processesOf(files: CgroupFiles): number[] {
  return listOf(files, 'cgroup.procs');
}

export function threadsOf(files: CgroupFiles): number[] {
  return listOf(files, 'cgroup.threads');
}

function listOf(files: CgroupFiles, name: string): number[] {
  const own = parseNumbers(files.readList(name));
  const stat = files.read('cgroup.stat');
  const hasChildren = stat !== undefined && (keyedValue(stat, 'nr_descendants') ?? 0) > 0;
  return hasChildren ? [...own, ...directoriesIn(files.directory).flatMap((child) => listBelow(child, name))] : own;
}

function listBelow(directory: string, name: string): number[] {
  return [...parseNumbers(readKernelList(`${directory}/${name}`)), ...directoriesIn(directory).flatMap((child) => listBelow(child, name))];
}

/**
 * What the processes that live now have in memory, in bytes, for a host without the memory controller.
 * A page that several processes share counts once for each of them, and the page cache that no process
 * has mapped does not count at all.
 */
export interface ProcessMemory {
  readonly anonymous: number;
  /** Of files and of shared memory. */
  readonly mapped: number;
  readonly swap: number;
  /** Page tables and, at their size on 64-bit machines, kernel stacks. */
  readonly kernel: number;
  /** The sum of the processes' own peaks. */
  readonly peak: number;
  /** With those of children that have been waited for. */
  readonly minorFaults: number;
  readonly majorFaults: number;
}

/** THREAD_SIZE of x86-64 and arm64. */
const kernelStack = 16 << 10;

export function processMemory(pids: readonly number[], proc = '/proc'): ProcessMemory {
  const sum = { anonymous: 0, mapped: 0, swap: 0, kernel: 0, peak: 0, minorFaults: 0, majorFaults: 0 };
  for (const pid of pids) {
    const status = readKernelFile(`${proc}/${pid}/status`);
    const stat = readKernelFile(`${proc}/${pid}/stat`);
    if (status === undefined || stat === undefined) continue;
    sum.anonymous += statusBytes(status, 'RssAnon');
    sum.mapped += statusBytes(status, 'RssFile') + statusBytes(status, 'RssShmem');
    sum.swap += statusBytes(status, 'VmSwap');
    sum.kernel += statusBytes(status, 'VmPTE') + statusNumber(status, 'Threads') * kernelStack;
    sum.peak += statusBytes(status, 'VmHWM');
    const [minor, childrenMinor, major, childrenMajor] = faults(stat);
    sum.minorFaults += minor + childrenMinor;
    sum.majorFaults += major + childrenMajor;
  }
  return sum;
}

/** proc_pid_status(5): `KEY:\tN kB`. */
function statusBytes(status: string, key: string): number {
  return statusNumber(status, key) * 1024;
}

function statusNumber(status: string, key: string): number {
  const at = status.indexOf(`\n${key}:`);
  return at === -1 ? 0 : Number.parseInt(status.slice(at + key.length + 2, at + key.length + 32), 10);
}

/** proc_pid_stat(5), fields 10 to 13. The name in parentheses may hold anything, so they count from its end. */
function faults(stat: string): [number, number, number, number] {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ', 11);
  return [Number(fields[7]), Number(fields[8]), Number(fields[9]), Number(fields[10])];
}

/** The links below /proc/PID/fd, one for each open descriptor. */
export function descriptorsOf(pid: number, proc = '/proc'): string[] {
  const directory = `${proc}/${pid}/fd`;
  return namesIn(directory).map((name) => `${directory}/${name}`);
}

export function isSocket(descriptor: string): boolean {
  try {
    return readlinkSync(descriptor).startsWith('socket:');
  } catch {
    return false;
  }
}

/** RLIMIT_NOFILE's soft limit of a process; undefined when it has none or is gone (proc_pid_limits(5)). */
export function openFilesLimit(pid: number | 'self', proc = '/proc'): number | undefined {
  const soft = /^Max open files\s+(\d+)/m.exec(readKernelFile(`${proc}/${pid}/limits`) ?? '')?.[1];
  return soft === undefined ? undefined : Number(soft);
}
