import type { RuntimeHandlers } from '../../cri-server/handlers.ts';
import { wrapError } from '../../errors/catalogue.ts';
import { removeContainer } from '../container/remove.ts';
import { sandboxRemoved } from '../events/announce.ts';
import { containersOf } from '../runtime.ts';
import type { Runtime, Sandbox } from '../runtime.ts';
import { releaseSandbox } from './resources.ts';
import { stopSandbox } from './stop.ts';

/**
 * RemovePodSandbox: "If there are any running containers in the sandbox, they must be forcibly
 * terminated and removed. This call is idempotent, and must not return an error if the sandbox has
 * already been removed." (CRI, RuntimeService.RemovePodSandbox)
 */
export function removePodSandbox(runtime: Runtime): RuntimeHandlers['RemovePodSandbox'] {
  return async (request, context) => {
    const sandbox = runtime.sandboxes.find(request.pod_sandbox_id);
    if (sandbox !== undefined) {
      await runtime.locks.run(sandbox.record.id, context.signal, () => removeSandbox(runtime, sandbox));
    }
    return {};
  };
}

async function removeSandbox(runtime: Runtime, sandbox: Sandbox): Promise<void> {
  const { id, name } = sandbox.record;
  if (runtime.sandboxes.find(id) !== sandbox) return;
  await stopSandbox(runtime, sandbox);
  await Promise.all(containersOf(runtime, id).map((container) => removeContainer(runtime, container)));
  const { left, errors } = await releaseSandbox(runtime, sandbox.record, sandbox.record.ledger);
  sandbox.record = { ...sandbox.record, ledger: left };
  if (errors.length > 0) {
    await runtime.sandboxStore.save(sandbox.record);
    throw wrapError(`remove sandbox ${id}`, errors[0]);
  }
  await runtime.sandboxStore.remove(id);
  runtime.sandboxes.delete(id);
  sandboxRemoved(runtime, sandbox);
  runtime.sandboxNames.release(name, id);
}
