import type { CgroupFiles } from './kernel-file.ts';
import { namesIn, readKernelFile } from './kernel-file.ts';
import { keyedValue, parseIoStat, parsePressure, singleValue } from './readings-parse.ts';
import type { DeviceIo, Pressure } from './readings-parse.ts';

/** What a cgroup has used so far. A part is undefined where the kernel does not tell it. */
export interface CgroupReading {
  readonly cpu: CpuReading | undefined;
  readonly memory: MemoryReading | undefined;
  readonly swap: SwapReading | undefined;
  readonly pressure: { readonly cpu: Pressure | undefined; readonly memory: Pressure | undefined; readonly io: Pressure | undefined };
}

/** cpu.stat. Usage is there on every cgroup; the quota's part only with the cpu controller. */
export interface CpuReading {
  readonly usageMicroseconds: number;
  readonly userMicroseconds: number;
  readonly systemMicroseconds: number;
  readonly throttling: { readonly periods: number; readonly throttledPeriods: number; readonly throttledMicroseconds: number } | undefined;
}

/** memory.current, memory.max and memory.stat, in bytes. */
export interface MemoryReading {
  readonly usage: number;
  /** Undefined: no limit. */
  readonly limit: number | undefined;
  readonly anonymous: number;
  readonly file: number;
  readonly activeFile: number;
  readonly inactiveFile: number;
  readonly mappedFile: number;
  readonly kernel: number;
  readonly pageFaults: number;
  readonly majorPageFaults: number;
}

/** memory.swap.current and memory.swap.max, in bytes. */
export interface SwapReading {
  readonly usage: number;
  readonly limit: number | undefined;
}

export function readCgroup(files: CgroupFiles): CgroupReading {
  return {
    cpu: readCpu(files),
    memory: readMemory(files),
    swap: readSwap(files),
    pressure: {
      cpu: parsePressure(files.read('cpu.pressure')),
      memory: parsePressure(files.read('memory.pressure')),
      io: parsePressure(files.read('io.pressure')),
    },
  };
}

export function readCpu(files: CgroupFiles): CpuReading | undefined {
  const text = files.read('cpu.stat');
  const usage = text === undefined ? undefined : keyedValue(text, 'usage_usec');
  if (text === undefined || usage === undefined) return undefined;
  const periods = keyedValue(text, 'nr_periods');
  return {
    usageMicroseconds: usage,
    userMicroseconds: keyedValue(text, 'user_usec') ?? 0,
    systemMicroseconds: keyedValue(text, 'system_usec') ?? 0,
    throttling: periods === undefined ? undefined : {
      periods,
      throttledPeriods: keyedValue(text, 'nr_throttled') ?? 0,
      throttledMicroseconds: keyedValue(text, 'throttled_usec') ?? 0,
    },
  };
}

function readMemory(files: CgroupFiles): MemoryReading | undefined {
  const usage = singleValue(files.read('memory.current'));
  const stat = files.read('memory.stat');
  if (usage === undefined || stat === undefined) return undefined;
  const value = (key: string): number => keyedValue(stat, key) ?? 0;
  return {
    usage,
    limit: singleValue(files.read('memory.max')),
    anonymous: value('anon'),
    file: value('file'),
    activeFile: value('active_file'),
    inactiveFile: value('inactive_file'),
    mappedFile: value('file_mapped'),
    // `kernel` is there from Linux 5.18 on.
    kernel: keyedValue(stat, 'kernel') ?? value('kernel_stack'),
    pageFaults: value('pgfault'),
    majorPageFaults: value('pgmajfault'),
  };
}

function readSwap(files: CgroupFiles): SwapReading | undefined {
  const usage = singleValue(files.read('memory.swap.current'));
  return usage === undefined ? undefined : { usage, limit: singleValue(files.read('memory.swap.max')) };
}

/** What only the metrics ask for, and more rarely. */
export interface CgroupDetail {
  /** memory.peak, bytes. */
  readonly memoryPeak: number | undefined;
  /** memory.events: how often the limit was reached, and how many processes were killed for it. */
  readonly memoryEvents: { readonly max: number; readonly oomKill: number } | undefined;
  readonly devices: readonly DeviceIo[] | undefined;
  /** pids.max; undefined: no limit. */
  readonly pidsLimit: number | undefined;
  readonly hugepages: readonly { readonly pageSize: string; readonly usage: number }[];
}

export function readCgroupDetail(directory: string): CgroupDetail {
  const read = (name: string): string | undefined => readKernelFile(`${directory}/${name}`);
  const events = read('memory.events');
  return {
    memoryPeak: singleValue(read('memory.peak')),
    memoryEvents: events === undefined ? undefined : { max: keyedValue(events, 'max') ?? 0, oomKill: keyedValue(events, 'oom_kill') ?? 0 },
    devices: parseIoStat(read('io.stat')),
    pidsLimit: singleValue(read('pids.max')),
    hugepages: namesIn(directory).flatMap((name) => {
      const pageSize = /^hugetlb\.([^.]+)\.current$/.exec(name)?.[1];
      const usage = pageSize === undefined ? undefined : singleValue(read(name));
      return pageSize === undefined || usage === undefined ? [] : [{ pageSize, usage }];
    }),
  };
}
