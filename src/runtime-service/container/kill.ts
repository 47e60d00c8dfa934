import { constants } from 'node:os';
import { BerthError } from '../../errors/catalogue.ts';
import { untilAborted } from '../../state/keyed-lock.ts';
import type { Container, Runtime } from '../runtime.ts';

/** How long a killed container's shim may take to say so, in ms, before it is settled without it. */
const shimPatience = 10_000;

/**
 * Ends a container by force, whatever its state, and waits for its end: cgroup.kill reaches every
 * process, also where the PID namespace is shared. Succeeds on what has ended already.
 */
export async function killContainer(runtime: Runtime, container: Container): Promise<void> {
  if (container.record.phase === 'exited') return;
  const { id } = container.record;
  try {
    await container.shim?.kill(constants.signals.SIGKILL, true, AbortSignal.timeout(shimPatience));
  } catch (err) {
    runtime.log.debug({ err, container: id }, 'the shim does not kill; its cgroup is killed directly');
  }
  await runtime.cgroups.kill(container.record.cgroupPath);
  if (container.shim === undefined) container.exited.resolve();
  try {
    await untilAborted(container.exited.promise, AbortSignal.timeout(shimPatience));
  } catch (cause) {
    throw new BerthError('SHIM_UNAVAILABLE', `kill container ${id}: its shim did not end within ${shimPatience} ms`, { cause });
  }
}
