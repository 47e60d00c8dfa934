import type { RuntimeHandlers } from '../../cri-server/handlers.ts';
import { wrapError } from '../../errors/catalogue.ts';
import { containerRemoved } from '../events/announce.ts';
import type { Container, Runtime } from '../runtime.ts';
import { releaseContainer } from './resources.ts';

/**
 * RemoveContainer: "If the container is running, the container must be forcibly removed. This call is
 * idempotent, and must not return an error if the container has already been removed." (CRI)
 */
export function removeContainerRpc(runtime: Runtime): RuntimeHandlers['RemoveContainer'] {
  return async (request, context) => {
    const container = runtime.containers.find(request.container_id);
    if (container !== undefined) {
      context.signal.throwIfAborted();
      await removeContainer(runtime, container);
    }
    return {};
  };
}

/** Removes a container in any state. Rejects when something could not be released; a repeated call tries that again. */
export async function removeContainer(runtime: Runtime, container: Container): Promise<void> {
  const { id, name } = container.record;
  await runtime.locks.run(id, undefined, async () => {
    if (runtime.containers.find(id) !== container) return;
    const { left, errors } = await releaseContainer(runtime, container, container.record.ledger);
    if (errors.length > 0) {
      container.record = { ...container.record, ledger: left };
      await runtime.containerStore.save(container.record);
      throw wrapError(`remove container ${id}`, errors[0]);
    }
    await runtime.containerStore.remove(id);
    runtime.containers.delete(id);
    containerRemoved(runtime, container);
    runtime.containerNames.release(name, id);
  });
}
