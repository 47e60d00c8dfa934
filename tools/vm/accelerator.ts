/**
 * Whether KVM works here. That /dev/kvm is there does not say so: in a virtual machine whose outer side offers only
 * a part of it, qemu starts and the machine stops at some instruction. So a machine is started once in a boot of
 * this one, and what came of it is kept.
 */

import { spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { access, readFile, writeFile } from 'node:fs/promises';
import { CPU_ARGUMENTS } from './qemu.ts';

const PROBE_MS = 15_000;

export type Accelerator = 'kvm' | 'tcg';

async function probe(kernel: string, initramfs: string): Promise<boolean> {
  const qemu = spawn('qemu-system-x86_64', [
    '-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none', '-nic', 'none', '-machine', 'pc',
    ...CPU_ARGUMENTS, '-accel', 'kvm', '-m', '256M', '-kernel', kernel, '-initrd', initramfs,
    '-append', 'quiet panic=-1 rdinit=/probe', '-serial', 'stdio',
  ], { stdio: ['ignore', 'pipe', 'pipe'] });
  let heard = '';
  qemu.stdout.setEncoding('utf8').on('data', (text: string) => {
    heard += text;
  });
  // Its complaint comes at once; it would then wait for a debugger.
  qemu.stderr.on('data', () => qemu.kill('SIGKILL'));
  const late = setTimeout(() => qemu.kill('SIGKILL'), PROBE_MS);
  await new Promise<void>((resolve, reject) => {
    qemu.once('error', reject);
    qemu.once('close', () => resolve());
  }).finally(() => clearTimeout(late));
  return heard.includes('machine works');
}

/** `memory` is the file in which the answer is kept. */
export async function workingAccelerator(kernel: string, initramfs: string, memory: string): Promise<Accelerator> {
  const allowed = await access('/dev/kvm', constants.R_OK | constants.W_OK).then(() => true, () => false);
  if (!allowed) return 'tcg';
  const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
  const [knownBoot, known] = (await readFile(memory, 'utf8').catch(() => '')).trim().split(' ');
  if (knownBoot === boot && (known === 'kvm' || known === 'tcg')) return known;
  const found = (await probe(kernel, initramfs)) ? 'kvm' : 'tcg';
  await writeFile(memory, `${boot} ${found}\n`);
  return found;
}
