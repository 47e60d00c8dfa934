import { expect, test } from 'vitest';
import type { LinuxContainerResources__Output } from '../cri-server/generated/runtime/v1/LinuxContainerResources.ts';
import { cgroupWrites, weightOfShares } from './limits.ts';

const none: LinuxContainerResources__Output = {
  cpu_period: '0', cpu_quota: '0', cpu_shares: '0', memory_limit_in_bytes: '0', oom_score_adj: '0', cpuset_cpus: '', cpuset_mems: '',
  hugepage_limits: [], unified: {}, memory_swap_limit_in_bytes: '0',
};

const writes = (changes: Partial<LinuxContainerResources__Output>) =>
  cgroupWrites({ ...none, ...changes }, 'r').map(({ file, value }) => `${file}=${value}`);

test('nothing given, nothing written', () => {
  expect(cgroupWrites(null, 'r')).toEqual([]);
  expect(writes({})).toEqual([]);
});

test.each<[Partial<LinuxContainerResources__Output>, string[]]>([
  [{ cpu_quota: '50000', cpu_period: '100000' }, ['cpu.max=50000 100000']],
  [{ cpu_quota: '50000' }, ['cpu.max=50000 100000']],
  [{ cpu_period: '20000' }, ['cpu.max=max 20000']],
  [{ cpu_quota: '-1', cpu_period: '20000' }, ['cpu.max=max 20000']],
  [{ cpu_shares: '1024' }, ['cpu.weight=100']],
  [{ cpuset_cpus: '0-3,8', cpuset_mems: '0' }, ['cpuset.cpus=0-3,8', 'cpuset.mems=0']],
  [{ memory_limit_in_bytes: '9223372036854775807' }, ['memory.swap.max=0', 'memory.max=9223372036854775807']],
  [{ memory_limit_in_bytes: '-1' }, ['memory.max=max']],
  [{ memory_limit_in_bytes: '1000', memory_swap_limit_in_bytes: '1500' }, ['memory.swap.max=500', 'memory.max=1000']],
  [{ memory_limit_in_bytes: '1000', memory_swap_limit_in_bytes: '1000' }, ['memory.swap.max=0', 'memory.max=1000']],
  [{ memory_limit_in_bytes: '1000', memory_swap_limit_in_bytes: '-1' }, ['memory.swap.max=max', 'memory.max=1000']],
  [{ hugepage_limits: [{ page_size: '2MB', limit: '0' }] }, ['hugetlb.2MB.rsvd.max=0', 'hugetlb.2MB.max=0']],
  [{ memory_limit_in_bytes: '5', unified: { 'memory.high': '3', 'memory.swap.max': 'max' } }, ['memory.swap.max=0', 'memory.max=5', 'memory.high=3', 'memory.swap.max=max']],
])('%j', (given, expected) => {
  expect(writes(given)).toEqual(expected);
});

test.each<[Partial<LinuxContainerResources__Output>, string]>([
  [{ cpu_period: '999' }, 'r.cpu_period'],
  [{ cpu_period: '1000001' }, 'r.cpu_period'],
  [{ cpu_period: '-1' }, 'r.cpu_period'],
  [{ cpu_quota: '999' }, 'r.cpu_quota'],
  [{ cpu_shares: '-1' }, 'r.cpu_shares'],
  [{ cpuset_cpus: '0-' }, 'r.cpuset_cpus'],
  [{ cpuset_cpus: 'all' }, 'r.cpuset_cpus'],
  [{ cpuset_mems: '0\n1' }, 'r.cpuset_mems'],
  [{ memory_limit_in_bytes: '-2' }, 'r.memory_limit_in_bytes'],
  [{ memory_limit_in_bytes: '10', memory_swap_limit_in_bytes: '9' }, 'r.memory_swap_limit_in_bytes'],
  [{ memory_swap_limit_in_bytes: '9' }, 'r.memory_swap_limit_in_bytes'],
  [{ memory_limit_in_bytes: '10', memory_swap_limit_in_bytes: '-2' }, 'r.memory_swap_limit_in_bytes'],
  [{ hugepage_limits: [{ page_size: '../x', limit: '1' }] }, 'r.hugepage_limits[0].page_size'],
  [{ unified: { 'cgroup.procs': '1' } }, 'r.unified'],
  [{ unified: { '../memory.max': '1' } }, 'r.unified'],
  [{ unified: { memory: '1' } }, 'r.unified'],
])('%j is refused by its field', (given, field) => {
  expect(() => writes(given)).toThrow(expect.objectContaining({ code: 'INVALID_FIELD', message: expect.stringContaining(`${field}: `) as string }));
});

test.each([[0n, 1], [2n, 1], [102n, 17], [1024n, 100], [2048n, 174], [262_144n, 10_000], [10n ** 12n, 10_000]])('%s shares have the weight %s', (shares, weight) => {
  expect(weightOfShares(shares)).toBe(weight);
});

test('more shares never weigh less', () => {
  let last = 0;
  for (let shares = 2n; shares <= 262_144n; shares += 97n) {
    expect(weightOfShares(shares)).toBeGreaterThanOrEqual(last);
    last = weightOfShares(shares);
  }
});
