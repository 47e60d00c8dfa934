/** The command line's connection to berthd: calls of every kind on its socket. */
import { Client, credentials, status, type ClientReadableStream, type ClientWritableStream, type MethodDefinition, type ServiceError } from '@grpc/grpc-js';
import { loadConfig } from '../config/load.ts';
import { serviceDefinition, type ServiceName } from '../cri-server/contract.ts';
import { BerthError } from '../errors/catalogue.ts';

export interface BerthClient {
  /** Rejects with what the server said. */
  call(service: ServiceName, method: string, request: object): Promise<object>;
  /** The responses as they come. */
  stream(service: ServiceName, method: string, request: object): AsyncIterable<object>;
  /** Sends the requests, as fast as the server takes them. */
  upload(service: ServiceName, method: string, requests: AsyncIterable<object>): Promise<object>;
  close(): void;
}

/** Flags that every command that talks to berthd has. */
export const connectionOptions = { listen: { type: 'string' }, config: { type: 'string' } } as const;

export async function connectBerth(flags: { readonly listen?: string | undefined; readonly config?: string | undefined }): Promise<BerthClient> {
  const overrides = new Map(flags.listen === undefined ? [] : [['listen', flags.listen] as const]);
  const { config } = await loadConfig({ overrides, ...(flags.config !== undefined && { configFile: flags.config }) });
  return berthClient(config.listen);
}

/** `listen` is `unix:///path`. */
export function berthClient(listen: string): BerthClient {
  const serverError = (error: Error): Error => explained(error, listen);
  const client = new Client(listen.replace(/^unix:\/\//, 'unix:'), credentials.createInsecure());
  return {
    call: (service, method, request) =>
      answered(serverError, (callback) => {
        const { path, requestSerialize, deserialize } = definitionOf(service, method);
        client.makeUnaryRequest(path, requestSerialize, deserialize, request, callback);
      }),
    stream: (service, method, request) => {
      const { path, requestSerialize, deserialize } = definitionOf(service, method);
      return received(serverError, client.makeServerStreamRequest(path, requestSerialize, deserialize, request));
    },
    upload: (service, method, requests) =>
      answered(serverError, (callback) => {
        const { path, requestSerialize, deserialize } = definitionOf(service, method);
        void send(client.makeClientStreamRequest(path, requestSerialize, deserialize, callback), requests, callback);
      }),
    close: () => client.close(),
  };
}

type Callback = (error: Error | null, response?: object) => void;

function definitionOf(service: ServiceName, method: string): MethodDefinition<object, object> & { readonly deserialize: (bytes: Buffer) => object } {
  const definition = serviceDefinition(service)[method];
  if (definition === undefined) throw new Error(`${service} has no method ${method}`);
  return { ...definition, deserialize: definition.responseDeserialize as (bytes: Buffer) => object };
}

async function answered(serverError: (error: Error) => Error, call: (callback: Callback) => void): Promise<object> {
  const { promise, resolve, reject } = Promise.withResolvers<object>();
  call((error, response) => {
    if (error === null) resolve(response ?? {});
    else reject(serverError(error));
  });
  return promise;
}

async function* received(serverError: (error: Error) => Error, call: ClientReadableStream<object>): AsyncGenerator<object, void, undefined> {
  try {
    for await (const message of call as AsyncIterable<object>) yield message;
  } catch (error) {
    throw serverError(error as Error);
  } finally {
    call.cancel();
  }
}

/** Ends early when the server has answered before the end: why is in its answer. */
async function send(call: ClientWritableStream<object>, requests: AsyncIterable<object>, callback: Callback): Promise<void> {
  let ended = false;
  call.on('status', () => {
    ended = true;
    call.emit('drain');
  });
  try {
    for await (const request of requests) {
      if (ended) return;
      if (!call.write(request)) await new Promise((resolve) => call.once('drain', resolve));
    }
    call.end();
  } catch (error) {
    call.cancel();
    callback(error instanceof Error ? error : new Error(String(error)));
  }
}

/** gRPC's own words around the server's are of no use to a person. */
function explained(error: Error, listen: string): Error {
  const { details, code } = error as Partial<ServiceError>;
  if (code === status.UNAVAILABLE && details?.startsWith('No connection') === true) {
    return new BerthError('INTERNAL', `berthd does not answer on ${listen}: ${details.replace(/^.*Last error: (Error: )?| Resolution note:.*$/gs, '')}`);
  }
  return details === undefined ? error : new BerthError('INTERNAL', details.replace(/ Resolution note:.*$/s, ''), { cause: error });
}
