/** GetContainerEvents over a connection of its own. */

import { Client, credentials } from '@grpc/grpc-js';
import type { ClientReadableStream } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { fileURLToPath } from 'node:url';
import type { ContainerEventResponse__Output } from '../../src/cri-server/generated/runtime/v1/ContainerEventResponse.ts';
import type { RuntimeServiceDefinition } from '../../src/cri-server/generated/runtime/v1/RuntimeService.ts';

export interface EventStream {
  /** Grows as events come. */
  readonly events: readonly ContainerEventResponse__Output[];
  close(): void;
}

/** Resolves when the stream is served: what happens from then on is heard. */
export async function subscribeTo(socket: string): Promise<EventStream> {
  const proto = fileURLToPath(new URL('../../proto/cri/v1/api.proto', import.meta.url));
  const contract = loadSync(proto, { keepCase: true, longs: String, enums: String, defaults: true });
  const method = (contract['runtime.v1.RuntimeService'] as unknown as RuntimeServiceDefinition).GetContainerEvents;
  const client = new Client(socket, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
  const stream: ClientReadableStream<ContainerEventResponse__Output> =
    client.makeServerStreamRequest(method.path, method.requestSerialize, method.responseDeserialize, {});
  const events: ContainerEventResponse__Output[] = [];
  const served = Promise.withResolvers<void>();
  stream.on('metadata', () => served.resolve());
  stream.on('error', (error) => served.reject(error));
  stream.on('data', (event: ContainerEventResponse__Output) => events.push(event));
  await served.promise;
  return {
    events,
    close: () => {
      stream.cancel();
      client.close();
    },
  };
}
