/** The server process of events.ts: a CRI server and the hub as the daemon has them, and events by order. */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import type { ContainerEventResponse } from '../src/cri-server/generated/runtime/v1/ContainerEventResponse.ts';
import { startCriServer } from '../src/cri-server/server.ts';
import { EventHub } from '../src/runtime-service/events/event-hub.ts';

const [, , socket = ''] = process.argv;
const counted = { dropped: 0 };
const hub = new EventHub<ContainerEventResponse>({
  clock: { nowNanos: () => process.hrtime.bigint() },
  observer: { published: () => undefined, dropped: (count) => (counted.dropped += count), subscribers: () => undefined },
  limit: 4096,
  returnWindow: 0n,
});
const server = await startCriServer({
  listen: `unix://${socket}`,
  handlers: { GetContainerEvents: (_, { signal }) => hub.subscribe(signal) },
  log: pino({ level: 'silent' }),
  metrics: new Registry(),
});

/** As large as those of a pod with one container. */
function event(number: number): ContainerEventResponse {
  const labels = Object.fromEntries(['name', 'namespace', 'uid'].map((key) => [`io.kubernetes.pod.${key}`, 'd'.repeat(36)]));
  const id = String(number).padStart(64, '0');
  return {
    container_id: String(number),
    container_event_type: 'CONTAINER_STARTED_EVENT',
    created_at: String(process.hrtime.bigint()),
    pod_sandbox_status: { id, state: 'SANDBOX_READY', created_at: '1700000000000000000', labels, network: { ip: '10.88.0.2' } },
    containers_statuses: [{ id, state: 'CONTAINER_RUNNING', created_at: '1700000000000000000', labels, image_ref: `sha256:${id}` }],
  };
}

function heapAfterCollection(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
}

let published = 0;
process.on('message', (order: { publish?: number; figures?: true }) => {
  for (let left = order.publish ?? 0; left > 0; left -= 1) hub.publish(event(published++));
  const { user, system } = process.cpuUsage();
  const figures = { dropped: counted.dropped, heapBytes: order.figures === true ? heapAfterCollection() : 0, processorSeconds: (user + system) / 1e6 };
  process.send?.(figures);
});
process.on('disconnect', () => void server.close(0).then(() => process.exit(0)));
process.send?.({ ready: true });
