import type { RuntimeHandlers } from '../../cri-server/handlers.ts';
import type { Runtime } from '../runtime.ts';

/** GetContainerEvents: from now on, or, soon after a start of berthd, from that start on; until the client goes. */
export function getContainerEvents(runtime: Runtime): RuntimeHandlers['GetContainerEvents'] {
  return (_, context) => runtime.events.subscribe(context.signal);
}
