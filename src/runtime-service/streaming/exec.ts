import type { RuntimeHandlers } from '../../cri-server/handlers.ts';
import { openExec } from '../../shim/session.ts';
import { checkCommand } from '../container/command.ts';
import type { Runtime } from '../runtime.ts';
import { checkStreams, runningContainer } from './process-request.ts';

/** Exec: gives a URL. The command starts when a client has come there. */
export function exec(runtime: Runtime): RuntimeHandlers['Exec'] {
  return async (request) => {
    const { tty: terminal, stdin, stdout, stderr, cmd: args } = request;
    checkCommand(args);
    checkStreams(request);
    const { id } = runningContainer(runtime, request.container_id).record;
    const url = runtime.streams.exec({
      target: `container ${id}`,
      terminal,
      stdin,
      stdout,
      stderr,
      open: async (signal) => {
        runningContainer(runtime, id);
        return await openExec({ id, stateDir: runtime.paths.shim(id) }, { args, terminal, stdin }, signal);
      },
    });
    return { url };
  };
}
