import type { RuntimeHandlers } from '../../cri-server/handlers.ts';
import { invalidField } from '../../errors/catalogue.ts';
import { untilAborted } from '../../state/keyed-lock.ts';
import type { Container, Runtime } from '../runtime.ts';
import { killContainer } from './kill.ts';

/** setTimeout's longest delay. */
const maxGrace = 2 ** 31 - 1;

/**
 * StopContainer: the stop signal, the grace period, then SIGKILL to everything. "This call is
 * idempotent, and must not return an error if the container has already been stopped." (CRI). The
 * lock is not held while waiting: a later call with a shorter grace takes over, and a caller that goes
 * away takes its own SIGKILL with it.
 */
export function stopContainer(runtime: Runtime): RuntimeHandlers['StopContainer'] {
  return async (request, context) => {
    const grace = BigInt(request.timeout);
    if (grace < 0n) throw invalidField('timeout', `${grace} is negative`);
    const container = runtime.containers.find(request.container_id);
    if (container === undefined) return {};
    // A start or removal under way ends first, so that what is stopped stays so.
    await runtime.locks.run(container.record.id, context.signal, () => Promise.resolve());
    if (container.record.phase === 'running') {
      await stop(runtime, container, Math.min(Number(grace) * 1000, maxGrace), context.signal);
    }
    return {};
  };
}

async function stop(runtime: Runtime, container: Container, graceMs: number, signal: AbortSignal): Promise<void> {
  if (graceMs > 0 && (await exitsWithin(runtime, container, graceMs, signal))) return;
  signal.throwIfAborted();
  await killContainer(runtime, container);
}

async function exitsWithin(runtime: Runtime, container: Container, graceMs: number, signal: AbortSignal): Promise<boolean> {
  const { record } = container;
  if (!container.stopSignalSent && container.shim !== undefined) {
    container.stopSignalSent = true;
    await container.shim.kill(record.stopSignal, false, signal).catch((err: unknown) => {
      container.stopSignalSent = false;
      runtime.log.debug({ err, container: record.id }, 'stop signal not delivered');
    });
  }
  const grace = AbortSignal.timeout(graceMs);
  try {
    await untilAborted(container.exited.promise, AbortSignal.any([grace, signal]));
    return true;
  } catch {
    signal.throwIfAborted();
    return false;
  }
}
