import type { RuntimeHandlers } from '../../cri-server/handlers.ts';
import { invalidField } from '../../errors/catalogue.ts';
import { openAttach } from '../../shim/session.ts';
import type { Runtime } from '../runtime.ts';
import { checkStreams, runningContainer } from './process-request.ts';

/** Attach: gives a URL, where the streams of the container's own process are to be had. */
export function attach(runtime: Runtime): RuntimeHandlers['Attach'] {
  return async (request) => {
    const { stdin, stdout, stderr } = request;
    checkStreams(request);
    const { id, config } = runningContainer(runtime, request.container_id).record;
    if (request.tty && !config.tty) throw invalidField('tty', `container ${id} has no terminal`);
    const url = runtime.streams.attach({
      target: `container ${id}`,
      terminal: request.tty,
      stdin: stdin && config.stdin,
      stdout,
      stderr: stderr && !config.tty,
      open: async (signal) => {
        runningContainer(runtime, id);
        return await openAttach({ id, stateDir: runtime.paths.shim(id) }, { stdin: stdin && config.stdin, stdout, stderr: stderr && !config.tty }, signal);
      },
    });
    return { url };
  };
}
