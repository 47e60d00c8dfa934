import type { LinuxContainerResources__Output } from '../cri-server/generated/runtime/v1/LinuxContainerResources.ts';
import { invalidField } from '../errors/catalogue.ts';

/** One value for one file of a cgroup directory; written in order. */
export interface CgroupWrite {
  readonly file: string;
  readonly value: string;
  /** Left out where the kernel does not have the file. */
  readonly optional?: true;
}

/**
 * The cgroup v2 files for CRI resources (Documentation/admin-guide/cgroup-v2.rst). A zero or empty CRI
 * field means "not given" and writes nothing. Throws INVALID_FIELD, naming the field below `field`.
 */
export function cgroupWrites(resources: LinuxContainerResources__Output | null, field: string): CgroupWrite[] {
  if (resources === null) return [];
  return [
    ...cpuWrites(resources, field),
    ...cpusetWrites(resources, field),
    ...memoryWrites(resources, field),
    ...hugepageWrites(resources, field),
    ...unifiedWrites(resources, field),
  ];
}

function cpuWrites(resources: LinuxContainerResources__Output, field: string): CgroupWrite[] {
  const writes: CgroupWrite[] = [];
  const quota = BigInt(resources.cpu_quota);
  const period = BigInt(resources.cpu_period);
  const shares = BigInt(resources.cpu_shares);
  if (period < 0n || (period !== 0n && (period < 1000n || period > 1_000_000n))) {
    throw invalidField(`${field}.cpu_period`, `${period} is not between 1000 and 1000000 microseconds`);
  }
  if (quota > 0n && quota < 1000n) throw invalidField(`${field}.cpu_quota`, `${quota} is below 1000 microseconds`);
  if (quota !== 0n || period !== 0n) {
    writes.push({ file: 'cpu.max', value: `${quota > 0n ? quota : 'max'} ${period === 0n ? 100_000n : period}` });
  }
  if (shares < 0n) throw invalidField(`${field}.cpu_shares`, `${shares} is negative`);
  if (shares !== 0n) writes.push({ file: 'cpu.weight', value: String(weightOfShares(shares)) });
  return writes;
}

/**
 * cpu.weight (1 to 10000, default 100) for cpu.shares (2 to 262144, default 1024): a quadratic through
 * the three pairs on logarithmic scales, so that the defaults meet, as runc from 1.3.2 on and crun from 1.23 on
 * convert. (The linear conversion of before gave a container of 1024 shares a weight of 39.)
 */
export function weightOfShares(shares: bigint): number {
  const clamped = Number(shares < 2n ? 2n : shares > 262_144n ? 262_144n : shares);
  const log = Math.log2(clamped);
  const exponent = (log * log + 125 * log) / 612 - 7 / 34;
  return Math.min(10_000, Math.max(1, Math.ceil(Number((10 ** exponent).toFixed(6)))));
}

/** A list such as 0-3,8, or 0-30:2/4 for two of every four (bitmap_parselist in the kernel's lib/bitmap-str.c). */
const numberList = /^\d+(-\d+(:\d+\/\d+)?)?(,\d+(-\d+(:\d+\/\d+)?)?)*$/;

function cpusetWrites(resources: LinuxContainerResources__Output, field: string): CgroupWrite[] {
  const writes: CgroupWrite[] = [];
  for (const key of ['cpuset_cpus', 'cpuset_mems'] as const) {
    if (resources[key] !== '' && !numberList.test(resources[key])) {
      throw invalidField(`${field}.${key}`, `"${resources[key]}" is not a list such as 0-3,8`);
    }
  }
  if (resources.cpuset_cpus !== '') writes.push({ file: 'cpuset.cpus', value: resources.cpuset_cpus });
  if (resources.cpuset_mems !== '') writes.push({ file: 'cpuset.mems', value: resources.cpuset_mems });
  return writes;
}

function memoryWrites(resources: LinuxContainerResources__Output, field: string): CgroupWrite[] {
  const limit = BigInt(resources.memory_limit_in_bytes);
  if (limit < -1n) throw invalidField(`${field}.memory_limit_in_bytes`, `${limit} is negative`);
  const swap = swapWrites(limit, BigInt(resources.memory_swap_limit_in_bytes), `${field}.memory_swap_limit_in_bytes`);
  return limit === 0n ? swap : [...swap, { file: 'memory.max', value: limit === -1n ? 'max' : String(limit) }];
}

/**
 * The CRI counts memory and swap together, cgroup v2 counts swap alone. A memory limit without a word on
 * swap means no swap, as with containerd and CRI-O: else the limit would only move pages to the disk.
 */
function swapWrites(limit: bigint, limitWithSwap: bigint, field: string): CgroupWrite[] {
  if (limitWithSwap === -1n) return [{ file: 'memory.swap.max', value: 'max', optional: true }];
  if (limitWithSwap < 0n) throw invalidField(field, `${limitWithSwap} is negative`);
  if (limitWithSwap === 0n) return limit > 0n ? [{ file: 'memory.swap.max', value: '0', optional: true }] : [];
  if (limit <= 0n) throw invalidField(field, 'needs a memory limit, of which it is the sum with swap');
  if (limitWithSwap < limit) throw invalidField(field, `${limitWithSwap} is below the memory limit ${limit}`);
  // Without a swap file there is no swap to be limited: none is used.
  return [{ file: 'memory.swap.max', value: String(limitWithSwap - limit), optional: true }];
}

function hugepageWrites(resources: LinuxContainerResources__Output, field: string): CgroupWrite[] {
  return resources.hugepage_limits.flatMap(({ page_size, limit }, index) => {
    if (!/^[1-9]\d*[KMG]B$/.test(page_size)) {
      throw invalidField(`${field}.hugepage_limits[${index}].page_size`, `"${page_size}" is not a size such as 2MB`);
    }
    return [
      { file: `hugetlb.${page_size}.rsvd.max`, value: limit },
      { file: `hugetlb.${page_size}.max`, value: limit },
    ];
  });
}

function unifiedWrites(resources: LinuxContainerResources__Output, field: string): CgroupWrite[] {
  return Object.entries(resources.unified).map(([file, value]) => {
    // The key is a file name of the cgroup's own directory, and no interface file that moves or kills.
    if (!/^[a-z][a-z0-9_]*(\.[A-Za-z0-9_]+)+$/.test(file) || file.startsWith('cgroup.')) {
      throw invalidField(`${field}.unified`, `"${file}" is not a controller's file such as memory.high`);
    }
    // The kernel would never see an empty write, and the update could not be told from none.
    if (value.trim() === '' || value.includes('\0')) throw invalidField(`${field}.unified["${file}"]`, 'its value is empty or holds a NUL byte');
    return { file, value };
  });
}
