/** qemu's command line for a machine. */

import { join } from 'node:path';
import type { MachineSettings } from './settings.ts';

export interface MachineFiles {
  readonly kernel: string;
  readonly initramfs: string;
  /** Shared with the machine, writable: what goes in and what comes out. */
  readonly control: string;
  readonly swap: string;
  readonly accelerator: keyof typeof ACCELERATORS;
}

const MIB = 1024 ** 2;

/** Pure cgroup v2 for any init, the security modules of a Debian node, and nothing slow that serves no test. */
const KERNEL_COMMAND_LINE = [
  'console=ttyS0', 'quiet', 'loglevel=3',
  // A panic ends the machine (with -no-reboot), at once.
  'panic=-1',
  'cgroup_no_v1=all', 'systemd.unified_cgroup_hierarchy=1',
  'apparmor=1', 'lsm=landlock,lockdown,yama,integrity,apparmor,bpf',
  // Debian's kernel has PSI, switched on.
  'psi=1', 'swapaccount=1',
  // The first file system brings up the others: see guest/first-init.sh.
  'maxcpus=1',
  'mitigations=off', 'random.trust_cpu=on', 'tsc=reliable', 'nowatchdog', 'rcupdate.rcu_expedited=1',
  'systemd.show_status=0', 'systemd.firstboot=off', 'systemd.unit=berth-vm.target', 'fsck.mode=skip',
];

// qemu's own maximum. Without arch-capabilities, which KVM cannot give in a machine that is itself virtual.
export const CPU_ARGUMENTS = ['-cpu', 'max,arch-capabilities=off'];

// A large cache of translated code keeps Node from being translated again and again.
const ACCELERATORS = { kvm: 'kvm', tcg: 'tcg,thread=multi,tb-size=256' } as const;

function shared(tag: string, directory: string, options: string): string[] {
  return [
    '-fsdev', `local,id=${tag},path=${directory},security_model=none,${options}`,
    '-device', `virtio-9p-pci,fsdev=${tag},mount_tag=${tag}`,
  ];
}

function drive(serial: string, file: string, cache: string): string[] {
  return [
    '-drive', `if=none,id=${serial},file=${file},format=raw,cache=${cache},discard=unmap`,
    '-device', `virtio-blk-pci,drive=${serial},serial=${serial}`,
  ];
}

export function qemuArguments(settings: MachineSettings, files: MachineFiles): string[] {
  return [
    '-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none', '-nic', 'none',
    '-machine', 'pc,usb=off,hpet=off', ...CPU_ARGUMENTS, '-accel', ACCELERATORS[files.accelerator],
    '-m', `${Math.ceil(settings.memoryBytes / MIB)}M`, '-smp', String(settings.cpus),
    '-kernel', files.kernel, '-initrd', files.initramfs, '-append', KERNEL_COMMAND_LINE.join(' '),
    '-serial', `file:${join(files.control, 'console')}`,
    '-device', 'virtio-rng-pci',
    // multidevs=remap: the root may have other file systems below it, whose inode numbers are the same.
    ...shared('root', '/', 'readonly=on,multidevs=remap'),
    ...shared('control', files.control, 'multidevs=remap'),
    ...(settings.disk === undefined ? [] : drive('disk', settings.disk.path, 'writeback')),
    ...(settings.swapBytes === undefined ? [] : drive('swap', files.swap, 'unsafe')),
    ...(settings.pidFile === undefined ? [] : ['-pidfile', settings.pidFile]),
  ];
}
