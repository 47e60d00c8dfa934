import { readFile } from 'node:fs/promises';
import type { Logger } from 'pino';
import { readShimStatus } from '../../shim/status.ts';

/**
 * Ends a shim that has not come to its end although nothing is left of its container, such as one that the kernel
 * or a network file system holds up in the set-up: with its directory gone nobody could ever speak to it again. One
 * that has told its end leaves by itself, when its clients have read it. Does nothing for a process that only has the
 * number of a shim that is gone.
 */
export async function endHungShim(stateDir: string, id: string, log: Logger): Promise<void> {
  const status = await readShimStatus(stateDir);
  if (status === undefined || status.state === 'exited' || status.state === 'failed') return;
  const title = await readFile(`/proc/${status.shimPid}/cmdline`, 'utf8').catch(() => '');
  if (!title.startsWith(`berth-shim ${id}`)) return;
  log.warn({ container: id, pid: status.shimPid }, 'ending a shim that hangs');
  try {
    process.kill(status.shimPid, 'SIGKILL');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ESRCH') throw cause;
  }
}
