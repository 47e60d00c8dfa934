import { readFile } from 'node:fs/promises';

/** Changes with every boot of the kernel (proc_sys_kernel(5), random/boot_id). */
export async function readBootId(): Promise<string> {
  return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
}
