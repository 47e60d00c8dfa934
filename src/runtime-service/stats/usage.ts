import type { CpuUsage } from '../../cri-server/generated/runtime/v1/CpuUsage.ts';
import type { IoUsage } from '../../cri-server/generated/runtime/v1/IoUsage.ts';
import type { MemoryUsage } from '../../cri-server/generated/runtime/v1/MemoryUsage.ts';
import type { PsiData } from '../../cri-server/generated/runtime/v1/PsiData.ts';
import type { PsiStats } from '../../cri-server/generated/runtime/v1/PsiStats.ts';
import type { SwapUsage } from '../../cri-server/generated/runtime/v1/SwapUsage.ts';
import type { CgroupReading, MemoryReading } from '../../cgroup/readings.ts';
import type { ProcessMemory } from '../../cgroup/readings-processes.ts';
import type { Pressure, PressureLine } from '../../cgroup/readings-parse.ts';

/** What the kernel said, as the CRI counts it. What it did not say is null. */

export interface Wrapped {
  readonly value: string;
}

export function wrapped(value: number | bigint | string | undefined): Wrapped | null {
  return value === undefined ? null : { value: String(value) };
}

/** Nanoseconds, exact beyond 2^53: after 104 days of processor time. */
export function nanosOfMicros(microseconds: number): string {
  return microseconds === 0 ? '0' : `${microseconds}000`;
}

export function cpuUsage(reading: CgroupReading, nanoCores: number | undefined, timestamp: string): CpuUsage | null {
  if (reading.cpu === undefined) return null;
  return {
    timestamp,
    usage_core_nano_seconds: wrapped(nanosOfMicros(reading.cpu.usageMicroseconds)),
    usage_nano_cores: wrapped(nanoCores),
    psi: psiStats(reading.pressure.cpu),
  };
}

/** What the kubelet evicts by: used, less the page cache that nobody has touched lately. */
export function workingSet(memory: MemoryReading): number {
  return Math.max(0, memory.usage - memory.inactiveFile);
}

/** Of the cgroup; where the memory controller is missing, of its processes. */
export function memoryUsage(reading: CgroupReading, processes: ProcessMemory | undefined, timestamp: string): MemoryUsage | null {
  const psi = psiStats(reading.pressure.memory);
  if (reading.memory !== undefined) return { ...memoryOfCgroup(reading.memory), timestamp, psi };
  return processes === undefined ? null : { ...memoryOfProcesses(processes), timestamp, psi };
}

function memoryOfCgroup(memory: MemoryReading): MemoryUsage {
  const used = workingSet(memory);
  return {
    working_set_bytes: wrapped(used),
    available_bytes: memory.limit === undefined ? null : wrapped(Math.max(0, memory.limit - used)),
    usage_bytes: wrapped(memory.usage),
    rss_bytes: wrapped(memory.anonymous),
    page_faults: wrapped(memory.pageFaults),
    major_page_faults: wrapped(memory.majorPageFaults),
  };
}

function memoryOfProcesses(memory: ProcessMemory): MemoryUsage {
  const resident = memory.anonymous + memory.mapped;
  return {
    working_set_bytes: wrapped(resident),
    // No limit is enforced without the controller.
    available_bytes: null,
    usage_bytes: wrapped(resident),
    rss_bytes: wrapped(memory.anonymous),
    page_faults: wrapped(memory.minorFaults + memory.majorFaults),
    major_page_faults: wrapped(memory.majorFaults),
  };
}

export function swapUsage(reading: CgroupReading, processes: ProcessMemory | undefined, timestamp: string): SwapUsage | null {
  const { swap } = reading;
  if (swap !== undefined) {
    const available = swap.limit === undefined ? undefined : Math.max(0, swap.limit - swap.usage);
    return { timestamp, swap_available_bytes: wrapped(available), swap_usage_bytes: wrapped(swap.usage) };
  }
  return processes === undefined ? null : { timestamp, swap_available_bytes: null, swap_usage_bytes: wrapped(processes.swap) };
}

export function ioUsage(reading: CgroupReading, timestamp: string): IoUsage | null {
  const psi = psiStats(reading.pressure.io);
  return psi === null ? null : { timestamp, psi };
}

function psiStats(pressure: Pressure | undefined): PsiStats | null {
  return pressure === undefined ? null : { Some: psiData(pressure.some), Full: psiData(pressure.full) };
}

/** The kernel counts microseconds, the CRI nanoseconds. */
function psiData(line: PressureLine | undefined): PsiData | null {
  if (line === undefined) return null;
  return { Total: nanosOfMicros(line.totalMicroseconds), Avg10: line.average10, Avg60: line.average60, Avg300: line.average300 };
}
