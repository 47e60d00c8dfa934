/** One CRI call from the command line. */
import { Client, credentials, type ServiceError } from '@grpc/grpc-js';
import { serviceDefinition } from '../cri-server/contract.ts';

/** Calls `method` of the RuntimeService on `listen` (`unix:///path`). Rejects with what the server said. */
export async function callRuntime(listen: string, method: string, request: object, timeoutMs: number): Promise<object> {
  const definition = serviceDefinition('RuntimeService')[method];
  if (definition === undefined) throw new Error(`CRI has no method ${method}`);
  const client = new Client(listen.replace(/^unix:\/\//, 'unix:'), credentials.createInsecure());
  const { promise, resolve, reject } = Promise.withResolvers<object>();
  const onReply = (error: ServiceError | null, response?: object): void => {
    if (error !== null) reject(new Error(error.details.replace(/ Resolution note:.*$/s, '')));
    else resolve(response ?? {});
  };
  const { path, requestSerialize, responseDeserialize } = definition;
  const deserialize = responseDeserialize as (bytes: Buffer) => object;
  client.makeUnaryRequest(path, requestSerialize, deserialize, request, { deadline: Date.now() + timeoutMs }, onReply);
  try {
    return await promise;
  } finally {
    client.close();
  }
}
