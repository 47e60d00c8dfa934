import { expect, test } from 'vitest';
import { podSlice, sliceDirectory, unitOf } from './units.ts';

test.each<[string, string | undefined]>([
  ['kubepods.slice', 'kubepods.slice'],
  ['kubepods-burstable-pod1_2.slice', 'kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice'],
  ['/kubepods.slice/kubepods-pod1.slice', 'kubepods.slice/kubepods-pod1.slice'],
  ['/other.slice/kubepods-pod1.slice', undefined],
  ['/kubepods/burstable/pod1', undefined],
  ['-.slice', undefined],
  ['a--b.slice', undefined],
  ['a-.slice', undefined],
  ['-a.slice', undefined],
  ['a b.slice', undefined],
  ['.slice', undefined],
])('%s is the directory %s', (parent, directory) => {
  expect(sliceDirectory(parent)).toBe(directory);
});

test('the pod\'s own slice is below Berth\'s', () => {
  expect(sliceDirectory(podSlice('ab12'))).toBe('berth.slice/berth-podab12.slice');
});

test('a directory is a slice, a scope\'s leaf, or none of systemd\'s', () => {
  expect(unitOf('/c/a.slice/a-b.slice')).toEqual({ kind: 'slice', name: 'a-b.slice' });
  expect(unitOf('/c/a.slice/berth-1.scope/container')).toEqual({ kind: 'scope', name: 'berth-1.scope', slice: 'a.slice', directory: '/c/a.slice/berth-1.scope' });
  expect(unitOf('/c/a.slice/berth-1.scope')).toBeUndefined();
  expect(unitOf('/c/berth/1')).toBeUndefined();
});
