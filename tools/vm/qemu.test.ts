import { expect, test } from 'vitest';
import { qemuArguments } from './qemu.ts';
import { machineSettings } from './settings.ts';

const files = { kernel: '/k', initramfs: '/i', control: '/c', swap: '/c/swap', accelerator: 'tcg' } as const;
const line = (environment: Record<string, string>): string => qemuArguments(machineSettings(environment), files).join(' ');

test('the root is shared read-only, and there is no network', () => {
  expect(line({})).toMatch(/local,id=root,path=\/,\S*readonly=on/);
  expect(line({})).toContain('-nic none');
});

test('there is no disk and no swap unless asked for', () => {
  expect(line({})).not.toContain('-drive');
  expect(line({ DISK: '/d' })).toMatch(/id=disk,file=\/d,format=raw/);
  expect(line({ SWAP: '64M' })).toMatch(/id=swap,file=\/c\/swap,format=raw/);
});

test('the kernel has version 2 of cgroups alone, and AppArmor', () => {
  expect(line({})).toMatch(/cgroup_no_v1=all.* lsm=\S*apparmor/);
});
