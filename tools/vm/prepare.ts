/** What machines are started from, made once and kept in build/vm; and their disks. */

import { spawn } from 'node:child_process';
import { mkdir, open, rename, stat, truncate } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { workingAccelerator } from './accelerator.ts';
import type { MachineFiles } from './qemu.ts';
import type { MachineSettings } from './settings.ts';

const here = dirname(fileURLToPath(import.meta.url));
export const project = dirname(dirname(here));
export const store = join(project, 'build/vm');
export const kernel = join(store, 'kernel');

/** Why no machine can be started here. */
export class CannotRun extends Error {}

async function call(program: string, args: readonly string[]): Promise<void> {
  const child = spawn(program, args, {
    stdio: ['ignore', 'inherit', 'inherit'],
    // depmod and mkfs.ext4 are there even where the user's path does not lead to them.
    env: { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` },
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', resolve);
  });
  if (code !== 0) throw new CannotRun(`${program} failed`);
}

/** The kernel and the first file system, made once and kept. Several may ask at the same time. */
export async function prepare(chosen: MachineSettings['accelerator']): Promise<Omit<MachineFiles, 'control' | 'swap'>> {
  await mkdir(store, { recursive: true });
  const initramfs = join(store, 'initramfs');
  await call('flock', [join(store, 'lock'), join(here, 'kernel.sh'), kernel]);
  await call('flock', [join(store, 'lock'), join(here, 'initramfs.sh'), kernel, initramfs]);
  const image = join(kernel, 'kernel');
  const accelerator = chosen === 'any' ? await workingAccelerator(image, initramfs, join(store, 'accelerator')) : chosen;
  return { kernel: image, initramfs, accelerator };
}

export async function makeSparse(path: string, bytes: number): Promise<void> {
  await (await open(path, 'w')).close();
  await truncate(path, bytes);
}

export async function makeDisk(path: string, bytes: number): Promise<void> {
  if (await stat(path).then(() => true, () => false)) return;
  const fresh = `${path}.new`;
  await makeSparse(fresh, bytes);
  await call('mkfs.ext4', ['-q', '-F', fresh]);
  await rename(fresh, path);
}
