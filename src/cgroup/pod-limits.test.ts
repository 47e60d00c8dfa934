import { expect, test } from 'vitest';
import type { LinuxContainerResources__Output } from '../cri-server/generated/runtime/v1/LinuxContainerResources.ts';
import { podWrites } from './pod-limits.ts';

type Resources = LinuxContainerResources__Output;

const resources = (changes: Partial<Resources>): Resources => ({
  cpu_period: '0', cpu_quota: '0', cpu_shares: '0', memory_limit_in_bytes: '0', oom_score_adj: '0', cpuset_cpus: '', cpuset_mems: '',
  hugepage_limits: [], unified: {}, memory_swap_limit_in_bytes: '0', ...changes,
});

test.each<[string, Partial<Resources> | null, Partial<Resources> | null, string[]]>([
  ['nothing is no limit', null, null, []],
  ['an overhead alone is no limit', { memory_limit_in_bytes: '10', cpu_quota: '5000', cpu_shares: '100' }, {}, []],
  ['resources alone', null, { memory_limit_in_bytes: '100', cpu_quota: '20000' }, ['cpu.max=20000 100000', 'memory.swap.max=0', 'memory.max=100']],
  ['the overhead is added', { memory_limit_in_bytes: '10', cpu_quota: '5000' }, { memory_limit_in_bytes: '100', cpu_quota: '20000', memory_swap_limit_in_bytes: '150' }, ['cpu.max=25000 100000', 'memory.swap.max=50', 'memory.max=110']],
  ['quotas add up over different periods', { cpu_quota: '5000', cpu_period: '50000' }, { cpu_quota: '20000' }, ['cpu.max=30000 100000']],
  ['what is unlimited stays so', { memory_limit_in_bytes: '10', cpu_quota: '5000' }, { memory_limit_in_bytes: '-1', cpu_quota: '-1' }, ['cpu.max=max 100000', 'memory.max=max']],
])('%s', (_, overhead, given, expected) => {
  const writes = podWrites(overhead === null ? null : resources(overhead), given === null ? null : resources(given), 'f');
  expect(writes.map(({ file, value }) => `${file}=${value}`)).toEqual(expected);
});

test('an error names the message that was sent', () => {
  expect(() => podWrites(resources({ cpu_shares: '-1' }), null, 'f')).toThrow('f.overhead.cpu_shares');
  expect(() => podWrites(null, resources({ cpu_shares: '-1' }), 'f')).toThrow('f.resources.cpu_shares');
});
