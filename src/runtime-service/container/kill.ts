import { constants } from 'node:os';
import { BerthError } from '../../errors/catalogue.ts';
import { untilAborted } from '../../state/keyed-lock.ts';
import { finishUnknown } from './exit.ts';
import type { Container, Runtime } from '../runtime.ts';

/** How long a killed container's shim may take to say so, in ms, before it is settled without it. */
const shimPatience = 10_000;

/** How long its cgroup may take to empty after that, in ms. */
const cgroupPatience = 1_000;

/**
 * Ends a container by force, whatever its state, and waits for its end: cgroup.kill reaches every
 * process, also where the PID namespace is shared. Succeeds on what has ended already.
 */
export async function killContainer(runtime: Runtime, container: Container): Promise<void> {
  if (container.record.phase === 'exited') return;
  const { id, cgroupPath } = container.record;
  try {
    await container.shim?.kill(constants.signals.SIGKILL, true, AbortSignal.timeout(shimPatience));
  } catch (err) {
    runtime.log.debug({ err, container: id }, 'the shim does not kill; its cgroup is killed directly');
  }
  await runtime.cgroups.kill(cgroupPath);
  // Nobody supervises it yet; its creation fails of itself.
  if (container.record.phase === 'creating' && container.shim === undefined) return;
  try {
    await untilAborted(container.exited.promise, AbortSignal.timeout(shimPatience));
  } catch {
    await settleWithoutShim(runtime, container);
  }
}

/** A shim that hangs must not hold up its pod: the container has ended once no process of it is left. */
async function settleWithoutShim(runtime: Runtime, container: Container): Promise<void> {
  const { id, cgroupPath, phase } = container.record;
  try {
    await runtime.cgroups.remove(cgroupPath, AbortSignal.timeout(cgroupPatience));
  } catch (cause) {
    throw new BerthError('SHIM_UNAVAILABLE', `kill container ${id}: it did not end within ${shimPatience} ms`, { cause });
  }
  if (phase !== 'creating') await finishUnknown(runtime, container, 'killed, and its shim did not give the exit status');
}
