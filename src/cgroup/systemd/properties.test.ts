import { expect, test } from 'vitest';
import { variant } from './dbus/value.ts';
import { unitProperties } from './properties.ts';

const max = 2n ** 64n - 1n;
const property = (file: string, value: string) => Object.fromEntries(unitProperties([{ file, value }]).map(([name, { value: inner }]) => [name, inner]));

test('amounts and weights are what systemd calls them', () => {
  expect(unitProperties([{ file: 'memory.max', value: '1048576' }])).toEqual([['MemoryMax', variant('t', 1_048_576n)]]);
  expect(property('memory.swap.max', 'max')).toEqual({ MemorySwapMax: max });
  expect(property('pids.max', '7')).toEqual({ TasksMax: 7n });
  expect(property('cpu.weight', '59')).toEqual({ CPUWeight: 59n });
  expect(property('io.weight', 'default 200\n8:0 50')).toEqual({ IOWeight: 200n });
  expect(property('memory.high', 'max\n')).toEqual({ MemoryHigh: max });
});

test('what systemd knows nothing of has no property', () => {
  for (const file of ['hugetlb.2MB.max', 'io.max', 'memory.oom.group', 'toString']) expect(unitProperties([{ file, value: '1' }])).toEqual([]);
});

test('a quota comes back from systemd as it went in, for any period', () => {
  for (const [quota, period] of [[50_000n, 100_000n], [1000n, 1_000_000n], [33_333n, 100_003n], [7_000_001n, 999_983n], [1001n, 1000n]] as const) {
    const { CPUQuotaPerSecUSec, CPUQuotaPeriodUSec } = property('cpu.max', `${quota} ${period}`);
    expect(CPUQuotaPeriodUSec).toBe(period);
    // src/core/cgroup.c, cgroup_apply_unified_cpu_quota.
    expect(((CPUQuotaPerSecUSec as bigint) * period) / 1_000_000n).toBe(quota);
  }
  expect(property('cpu.max', 'max 100000')).toEqual({ CPUQuotaPerSecUSec: max, CPUQuotaPeriodUSec: 100_000n });
});

test('lists are bits', () => {
  expect(property('cpuset.cpus', '0-3,8')).toEqual({ AllowedCPUs: Buffer.from([0b1111, 1]) });
  expect(property('cpuset.cpus', '0-10:2/4')).toEqual({ AllowedCPUs: Buffer.from([0b0011_0011, 0b11]) });
  expect(property('cpuset.mems', '0')).toEqual({ AllowedMemoryNodes: Buffer.from([1]) });
  // Nothing is asked for any more.
  expect(property('cpuset.cpus', '')).toEqual({ AllowedCPUs: Buffer.alloc(0) });
});
