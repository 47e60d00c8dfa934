/** A CRI client over a Unix socket: every unary RPC by its name, as a promise, timed. */

import { Client, credentials } from '@grpc/grpc-js';
import type { ClientUnaryCall, MethodDefinition, ServiceError } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { MethodDefinition as TypedMethod } from '@grpc/proto-loader';
import { fileURLToPath } from 'node:url';
import type { ImageServiceDefinition } from '../../src/cri-server/generated/runtime/v1/ImageService.ts';
import type { RuntimeServiceDefinition } from '../../src/cri-server/generated/runtime/v1/RuntimeService.ts';

type Definitions = RuntimeServiceDefinition & ImageServiceDefinition;

/** The names declared outright; the definitions also have an index signature. */
type DeclaredKeys<T> = keyof { [K in keyof T as string extends K ? never : K]: T[K] };
export type Rpc = Extract<DeclaredKeys<Definitions>, string>;
export type Request<M extends Rpc> = Definitions[M] extends TypedMethod<infer In, infer _Out, infer _FullIn, infer _FullOut> ? In : never;
export type Response<M extends Rpc> = Definitions[M] extends TypedMethod<infer _In, infer _Out, infer _FullIn, infer FullOut> ? FullOut : never;

export interface Timing {
  readonly rpc: Rpc;
  readonly milliseconds: number;
  readonly ok: boolean;
}

export interface CallOptions {
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface CriClient {
  call<M extends Rpc>(rpc: M, request: Request<M>, options?: CallOptions): Promise<Response<M>>;
  readonly timings: readonly Timing[];
  close(): void;
}

const DEFAULT_TIMEOUT_MS = 60_000;
/** The kubelet's own limit for one message. */
const MAX_MESSAGE = 16 * 1024 * 1024;

let loaded: Map<string, MethodDefinition<object, object>> | undefined;

/** The methods of both services by name; the image service and the runtime service share none. */
function methods(): Map<string, MethodDefinition<object, object>> {
  if (loaded !== undefined) return loaded;
  const proto = fileURLToPath(new URL('../../proto/cri/v1/api.proto', import.meta.url));
  const contract = loadSync(proto, { keepCase: true, longs: String, enums: String, defaults: true, arrays: true, objects: true });
  loaded = new Map();
  for (const service of ['runtime.v1.RuntimeService', 'runtime.v1.ImageService']) {
    for (const [name, method] of Object.entries(contract[service] ?? {})) loaded.set(name, method as MethodDefinition<object, object>);
  }
  return loaded;
}

/** `socket` is `unix:///absolute/path`. */
export function connectCri(socket: string): CriClient {
  const client = new Client(socket, credentials.createInsecure(), {
    'grpc.max_receive_message_length': MAX_MESSAGE,
    'grpc.max_send_message_length': MAX_MESSAGE,
    // After a restart of the daemon the next call should try at once.
    'grpc.initial_reconnect_backoff_ms': 50,
    'grpc.max_reconnect_backoff_ms': 200,
  });
  const timings: Timing[] = [];
  return {
    timings,
    close: () => client.close(),
    call: async (rpc, request, options = {}) => {
      const start = performance.now();
      let ok = false;
      try {
        const response = await unary(client, rpc, request as object, options);
        ok = true;
        return response as never;
      } finally {
        timings.push({ rpc, milliseconds: performance.now() - start, ok });
      }
    },
  };
}

function unary(client: Client, rpc: string, request: object, options: CallOptions): Promise<object> {
  const method = methods().get(rpc);
  if (method === undefined) throw new Error(`the contract has no RPC ${rpc}`);
  const deadline = Date.now() + (options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
  return new Promise((resolve, reject) => {
    const done = (error: ServiceError | null, response?: object): void => {
      options.signal?.removeEventListener('abort', cancel);
      if (error === null && response !== undefined) resolve(response);
      else reject(new CriError(rpc, error));
    };
    const call: ClientUnaryCall = client.makeUnaryRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      { deadline } as never,
      done,
    );
    const cancel = (): void => call.cancel();
    options.signal?.addEventListener('abort', cancel);
  });
}

const codeNames = [
  'OK', 'CANCELLED', 'UNKNOWN', 'INVALID_ARGUMENT', 'DEADLINE_EXCEEDED', 'NOT_FOUND', 'ALREADY_EXISTS', 'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED', 'FAILED_PRECONDITION', 'ABORTED', 'OUT_OF_RANGE', 'UNIMPLEMENTED', 'INTERNAL', 'UNAVAILABLE', 'DATA_LOSS',
  'UNAUTHENTICATED',
] as const;

export type CodeName = (typeof codeNames)[number];

/** A gRPC status that is not OK, with the code by its name. */
export class CriError extends Error {
  readonly rpc: string;
  readonly code: CodeName;
  readonly details: string;

  constructor(rpc: string, error: ServiceError | null) {
    const code = codeNames[error?.code ?? 2] ?? 'UNKNOWN';
    super(`${rpc}: ${code}: ${error?.details ?? 'no answer'}`);
    this.name = 'CriError';
    this.rpc = rpc;
    this.code = code;
    this.details = error?.details ?? '';
  }
}
