import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { RuntimeHandlers } from '../../cri-server/handlers.ts';
import { BerthError, invalidField } from '../../errors/catalogue.ts';
import { openForwarder } from '../../shim/forward.ts';
import { sandboxPins } from '../pod-sandbox/resources.ts';
import type { Runtime, Sandbox } from '../runtime.ts';

/** PortForward: gives a URL. A process that enters the pod's network is started when there is something to connect. */
export function portForward(runtime: Runtime): RuntimeHandlers['PortForward'] {
  return async (request) => {
    for (const port of request.port) if (port < 1 || port > 0xffff) throw invalidField('port', `${port} is no port`);
    const { id } = readySandbox(runtime, request.pod_sandbox_id).record;
    const url = runtime.streams.portForward({
      target: `sandbox ${id}`,
      ports: request.port,
      open: async (signal) => {
        const { record } = readySandbox(runtime, id);
        const socket = join(runtime.config.state, 'forward', randomBytes(6).toString('hex'));
        return await openForwarder(runtime.launcher, { name: `sandbox ${id}`, netns: sandboxPins(runtime, record).net, socket }, signal);
      },
    });
    return { url };
  };
}

function readySandbox(runtime: Runtime, id: string): Sandbox {
  const sandbox = runtime.sandboxes.get(id, 'sandbox', 'SANDBOX_NOT_FOUND');
  const { record, stopping } = sandbox;
  if (record.phase !== 'ready' || stopping) {
    throw new BerthError('SANDBOX_NOT_READY', `sandbox ${record.id} is ${stopping ? 'being stopped' : record.phase}, not ready`);
  }
  return sandbox;
}
