import type { RuntimeHandlers } from '../../cri-server/handlers.ts';
import { BerthError } from '../../errors/catalogue.ts';
import { NativeFailure } from '../../shim/channel.ts';
import { toBerthError } from '../../shim/native-error.ts';
import type { Runtime } from '../runtime.ts';

/** ReopenContainerLog: the kubelet has moved the file away; the shim opens its path anew. */
export function reopenContainerLog(runtime: Runtime): RuntimeHandlers['ReopenContainerLog'] {
  return async (request, context) => {
    const { record, shim } = runtime.containers.get(request.container_id, 'container', 'CONTAINER_NOT_FOUND');
    if (record.phase !== 'running') throw new BerthError('CONTAINER_WRONG_STATE', `container ${record.id} is ${record.phase}, not running`);
    if (shim === undefined) throw new BerthError('SHIM_UNAVAILABLE', `container ${record.id}: its shim is not connected`);
    await shim.reopenLog(context.signal).catch((cause: unknown) => {
      throw cause instanceof NativeFailure ? toBerthError(`reopen log of container ${record.id}`, cause.detail) : cause;
    });
    return {};
  };
}
