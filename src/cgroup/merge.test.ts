import { expect, test } from 'vitest';
import type { LinuxContainerResources__Output } from '../cri-server/generated/runtime/v1/LinuxContainerResources.ts';
import { mergeResources, updateWrites } from './merge.ts';

type Resources = LinuxContainerResources__Output;

const resources = (changes: Partial<Resources>): Resources => ({
  cpu_period: '0', cpu_quota: '0', cpu_shares: '0', memory_limit_in_bytes: '0', oom_score_adj: '0', cpuset_cpus: '', cpuset_mems: '',
  hugepage_limits: [], unified: {}, memory_swap_limit_in_bytes: '0', ...changes,
});

function update(before: Partial<Resources> | null, given: Partial<Resources>): string[] {
  const merged = mergeResources(before === null ? null : resources(before), resources(given));
  return updateWrites(merged, resources(given), 'linux').map(({ file, value }) => `${file}=${value}`);
}

test('zero and empty fields leave what there was', () => {
  const before = resources({
    cpu_period: '50000', cpu_quota: '25000', cpu_shares: '512', memory_limit_in_bytes: '100', oom_score_adj: '5', cpuset_cpus: '0', cpuset_mems: '0',
    hugepage_limits: [{ page_size: '2MB', limit: '1' }], unified: { 'memory.high': '90' }, memory_swap_limit_in_bytes: '150',
  });
  expect(mergeResources(before, resources({}))).toEqual(before);
  expect(update(before, {})).toEqual([]);
});

test('given fields replace, of maps and lists by their key', () => {
  const merged = mergeResources(
    resources({ hugepage_limits: [{ page_size: '2MB', limit: '1' }, { page_size: '1GB', limit: '2' }], unified: { 'memory.high': '90', 'memory.low': '1' } }),
    resources({ hugepage_limits: [{ page_size: '2MB', limit: '9' }], unified: { 'memory.low': '2' }, cpuset_cpus: '1' }),
  );
  expect(merged).toEqual(resources({
    hugepage_limits: [{ page_size: '1GB', limit: '2' }, { page_size: '2MB', limit: '9' }], unified: { 'memory.high': '90', 'memory.low': '2' }, cpuset_cpus: '1',
  }));
});

test.each<[string, Partial<Resources> | null, Partial<Resources>, string[]]>([
  ['a quota keeps the period', { cpu_period: '50000' }, { cpu_quota: '10000' }, ['cpu.max=10000 50000']],
  ['a period keeps the quota', { cpu_quota: '10000' }, { cpu_period: '20000' }, ['cpu.max=10000 20000']],
  ['a quota is taken away', { cpu_quota: '10000', cpu_period: '20000' }, { cpu_quota: '-1' }, ['cpu.max=max 20000']],
  ['only what is given is written', { cpu_shares: '512', cpuset_cpus: '0' }, { cpu_quota: '10000' }, ['cpu.max=10000 100000']],
  ['a first memory limit allows no swap', null, { memory_limit_in_bytes: '100' }, ['memory.swap.max=0', 'memory.max=100']],
  ['a memory limit keeps the swap', { memory_limit_in_bytes: '100', memory_swap_limit_in_bytes: '150' }, { memory_limit_in_bytes: '300' }, ['memory.swap.max=50', 'memory.max=300']],
  ['no swap stays no swap', { memory_limit_in_bytes: '100', memory_swap_limit_in_bytes: '100' }, { memory_limit_in_bytes: '300' }, ['memory.swap.max=0', 'memory.max=300']],
  ['a swap limit counts the memory of before', { memory_limit_in_bytes: '100' }, { memory_swap_limit_in_bytes: '130' }, ['memory.swap.max=30']],
  ['no memory limit any more', { memory_limit_in_bytes: '100', memory_swap_limit_in_bytes: '150' }, { memory_limit_in_bytes: '-1' }, ['memory.max=max']],
  ['one size of huge pages', { hugepage_limits: [{ page_size: '1GB', limit: '2' }] }, { hugepage_limits: [{ page_size: '2MB', limit: '4' }] }, ['hugetlb.2MB.rsvd.max=4', 'hugetlb.2MB.max=4']],
  ['a file by its name', { unified: { 'memory.low': '1' } }, { unified: { 'memory.high': '2' } }, ['memory.high=2']],
])('%s', (_, before, given, expected) => {
  expect(update(before, given)).toEqual(expected);
});

test('a swap limit that the memory of before does not allow is refused by its field', () => {
  expect(() => update({ memory_limit_in_bytes: '100' }, { memory_swap_limit_in_bytes: '90' })).toThrow(expect.objectContaining({
    code: 'INVALID_FIELD', message: expect.stringContaining('linux.memory_swap_limit_in_bytes: ') as string,
  }));
});
