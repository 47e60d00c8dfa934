import type { LinuxContainerResources__Output } from '../cri-server/generated/runtime/v1/LinuxContainerResources.ts';
import { cgroupWrites } from './limits.ts';
import type { CgroupWrite } from './limits.ts';

type Resources = LinuxContainerResources__Output;

const numbers = ['cpu_period', 'cpu_quota', 'cpu_shares', 'memory_limit_in_bytes', 'memory_swap_limit_in_bytes', 'oom_score_adj'] as const;
const lists = ['cpuset_cpus', 'cpuset_mems'] as const;

/** What holds after an update: a zero or empty field of `given` leaves the one of `before` as it is. */
export function mergeResources(before: Resources | null, given: Resources): Resources {
  if (before === null) return given;
  const merged: Resources = {
    ...before,
    hugepage_limits: [
      ...before.hugepage_limits.filter(({ page_size }) => !given.hugepage_limits.some((limit) => limit.page_size === page_size)),
      ...given.hugepage_limits,
    ],
    unified: { ...before.unified, ...given.unified },
  };
  for (const key of numbers) if (isGiven(given[key])) merged[key] = given[key];
  for (const key of lists) if (given[key] !== '') merged[key] = given[key];
  merged.memory_swap_limit_in_bytes = swapLimit(before, given, merged);
  return merged;
}

/** The sum of memory and swap moves along with a memory limit that is given alone: the swap within it stays. */
function swapLimit(before: Resources, given: Resources, merged: Resources): string {
  const sum = BigInt(merged.memory_swap_limit_in_bytes);
  if (isGiven(given.memory_swap_limit_in_bytes) || !isGiven(given.memory_limit_in_bytes) || sum <= 0n) return String(sum);
  const limit = BigInt(given.memory_limit_in_bytes);
  return limit < 0n ? '0' : String(limit + sum - BigInt(before.memory_limit_in_bytes));
}

/**
 * The writes of an update: those of the merged resources, as far as a given field decides about the file.
 * Throws INVALID_FIELD, naming the field below `field`.
 */
export function updateWrites(merged: Resources, given: Resources, field: string): CgroupWrite[] {
  const touched = touchedFiles(given);
  return cgroupWrites(merged, field).filter(({ file }) => touched.has(file));
}

function touchedFiles(given: Resources): ReadonlySet<string> {
  const files = new Set(Object.keys(given.unified));
  if (isGiven(given.cpu_quota) || isGiven(given.cpu_period)) files.add('cpu.max');
  if (isGiven(given.cpu_shares)) files.add('cpu.weight');
  if (given.cpuset_cpus !== '') files.add('cpuset.cpus');
  if (given.cpuset_mems !== '') files.add('cpuset.mems');
  if (isGiven(given.memory_limit_in_bytes)) files.add('memory.max');
  if (isGiven(given.memory_limit_in_bytes) || isGiven(given.memory_swap_limit_in_bytes)) files.add('memory.swap.max');
  for (const { page_size } of given.hugepage_limits) files.add(`hugetlb.${page_size}.max`).add(`hugetlb.${page_size}.rsvd.max`);
  return files;
}

function isGiven(value: string): boolean {
  return BigInt(value) !== 0n;
}
