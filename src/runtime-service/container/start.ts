import type { RuntimeHandlers } from '../../cri-server/handlers.ts';
import { BerthError } from '../../errors/catalogue.ts';
import { NativeFailure } from '../../shim/channel.ts';
import { toBerthError } from '../../shim/native-error.ts';
import { step } from '../../telemetry/steps.ts';
import type { Container, Runtime } from '../runtime.ts';
import { started } from './exit.ts';

/** StartContainer: one message to a process that waits. */
export function startContainer(runtime: Runtime): RuntimeHandlers['StartContainer'] {
  return async (request, context) => {
    const container = runtime.containers.get(request.container_id, 'container', 'CONTAINER_NOT_FOUND');
    await runtime.locks.run(container.record.id, context.signal, () => start(runtime, container));
    return {};
  };
}

async function start(runtime: Runtime, container: Container): Promise<void> {
  const { id, phase, sandboxId } = container.record;
  if (phase !== 'created') throw new BerthError('CONTAINER_WRONG_STATE', `container ${id} is ${phase}, not created`);
  if (runtime.sandboxes.find(sandboxId)?.record.phase !== 'ready') {
    throw new BerthError('SANDBOX_NOT_READY', `container ${id}: its sandbox ${sandboxId} is not ready`);
  }
  if (container.shim === undefined) throw new BerthError('SHIM_UNAVAILABLE', `container ${id}: its shim is not connected`);
  // Not the caller's signal: once asked for, the start happens, and the record has to follow it.
  const { shim } = container;
  const told = await step('container.start', () => shim.start(AbortSignal.timeout(60_000))).catch((cause: unknown) => {
    throw cause instanceof NativeFailure ? toBerthError(`start container ${id}`, cause.detail) : cause;
  });
  // By now the event may have said so already, or a short program may even have exited.
  started(runtime, container, told);
  await runtime.containerStore.save(container.record);
}
