/** What has to be on this machine before one can run inside it. */

import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const PROGRAMS: readonly (readonly [program: string, debianPackage: string])[] = [
  ['qemu-system-x86_64', 'qemu-system-x86'],
  ['busybox', 'busybox-static'],
  ['modprobe', 'kmod'],
  ['mkfs.ext4', 'e2fsprogs'],
  ['xz', 'xz-utils'],
  ['zstd', 'zstd'],
  ['setpriv', 'util-linux'],
  ['apt-get', 'apt'],
];

/** Administrators' programs are there even where the user's path does not lead to them. */
const PATH = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** One line for each thing that is missing; none when a machine can be started. */
export function missing(init: 'plain' | 'systemd'): string[] {
  const lines: string[] = [];
  if (process.platform !== 'linux' || process.arch !== 'x64') lines.push(`an x86-64 Linux (this is ${process.arch} ${process.platform})`);
  if (process.getuid?.() !== 0) lines.push('root: the machine has the files of this one, and reads them as root');
  for (const [program, debianPackage] of PROGRAMS) {
    if (!PATH.some((directory) => isProgram(join(directory, program)))) lines.push(`${program} (Debian: ${debianPackage})`);
  }
  if (init === 'systemd' && !existsSync('/lib/systemd/systemd')) lines.push('/lib/systemd/systemd (Debian: systemd)');
  if (init === 'systemd' && !existsSync('/usr/bin/dbus-daemon')) lines.push('/usr/bin/dbus-daemon (Debian: dbus)');
  return lines;
}
