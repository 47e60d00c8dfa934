import type { RuntimeHandlers } from '../../cri-server/handlers.ts';
import { BerthError, invalidField } from '../../errors/catalogue.ts';
import { NativeFailure } from '../../shim/channel.ts';
import { execAndWait } from '../../shim/exec.ts';
import { toBerthError } from '../../shim/native-error.ts';
import type { Runtime } from '../runtime.ts';
import { checkCommand } from './command.ts';

/** Bytes kept of each output stream, as containerd and CRI-O keep them; the rest is discarded. */
const outputLimit = 16 << 20;

/** setTimeout's longest delay. */
const maxTimeout = 2 ** 31 - 1;

/** ExecSync: runs a command and returns its output. A time-out of 0 means none of its own. */
export function execSync(runtime: Runtime): RuntimeHandlers['ExecSync'] {
  return async (request, context) => {
    checkCommand(request.cmd);
    const timeout = BigInt(request.timeout);
    if (timeout < 0n) throw invalidField('timeout', `${timeout} is negative`);
    const { record } = runtime.containers.get(request.container_id, 'container', 'CONTAINER_NOT_FOUND');
    if (record.phase !== 'running') throw new BerthError('CONTAINER_WRONG_STATE', `container ${record.id} is ${record.phase}, not running`);

    const limit = timeout === 0n ? undefined : AbortSignal.timeout(Math.min(Number(timeout) * 1000, maxTimeout));
    const signal = limit === undefined ? context.signal : AbortSignal.any([context.signal, limit]);
    try {
      const result = await execAndWait({ id: record.id, stateDir: runtime.paths.shim(record.id) }, request.cmd, outputLimit, signal);
      return { stdout: result.stdout, stderr: result.stderr, exit_code: result.exitCode };
    } catch (cause) {
      if (cause instanceof NativeFailure) throw toBerthError(`exec in container ${record.id}`, cause.detail);
      if (limit?.aborted === true) {
        throw new BerthError('DEADLINE', `exec in container ${record.id}: "${request.cmd[0]}" timed out after ${timeout} s`, { cause });
      }
      throw cause;
    }
  };
}
