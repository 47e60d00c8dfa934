import type { LinuxContainerResources__Output } from '../cri-server/generated/runtime/v1/LinuxContainerResources.ts';
import { cgroupWrites } from './limits.ts';
import type { CgroupWrite } from './limits.ts';

type Resources = LinuxContainerResources__Output;

/**
 * The limits of a pod's own cgroup: what its containers may use together and, on top, what the sandbox
 * itself costs. An overhead alone is no limit: the containers beside it are unlimited. Throws
 * INVALID_FIELD, naming the field below `field`.
 */
export function podWrites(overhead: Resources | null, resources: Resources | null, field: string): CgroupWrite[] {
  // Both are checked on their own, so that an error names the field that was sent.
  cgroupWrites(overhead, `${field}.overhead`);
  const writes = cgroupWrites(resources, `${field}.resources`);
  return resources === null || overhead === null ? writes : cgroupWrites(sum(resources, overhead), `${field}.resources`);
}

function sum(resources: Resources, overhead: Resources): Resources {
  const memory = BigInt(resources.memory_limit_in_bytes);
  const more = positive(overhead.memory_limit_in_bytes);
  return {
    ...resources,
    cpu_quota: String(quotaSum(resources, overhead)),
    cpu_shares: add(resources.cpu_shares, positive(overhead.cpu_shares)),
    memory_limit_in_bytes: add(resources.memory_limit_in_bytes, more),
    memory_swap_limit_in_bytes: memory > 0n ? add(resources.memory_swap_limit_in_bytes, more) : resources.memory_swap_limit_in_bytes,
  };
}

/** Zero (not given) and negative (no limit) stay as they are. */
function add(value: string, more: bigint): string {
  const amount = BigInt(value);
  return String(amount > 0n ? amount + more : amount);
}

function positive(value: string): bigint {
  const amount = BigInt(value);
  return amount > 0n ? amount : 0n;
}

/** The overhead's quota counts in the period of the resources. */
function quotaSum(resources: Resources, overhead: Resources): bigint {
  const quota = BigInt(resources.cpu_quota);
  if (quota <= 0n) return quota;
  return quota + (positive(overhead.cpu_quota) * periodOf(resources)) / periodOf(overhead);
}

function periodOf(resources: Resources): bigint {
  const period = BigInt(resources.cpu_period);
  return period === 0n ? 100_000n : period;
}
