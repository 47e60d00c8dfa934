/**
 * The CRI server: both services, and Berth's own, on one Unix socket.
 *
 *   const server = await startCriServer({ listen, handlers, log, metrics });
 *   …
 *   await server.close(graceMs);
 *
 * `handlers` holds the functions of all services in one object; an RPC without one answers
 * UNIMPLEMENTED. `metrics` is the registry from createMetrics().
 */
import { Server, ServerCredentials, type ServiceDefinition, type UntypedServiceImplementation } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import { wrapError } from '../errors/catalogue.ts';
import type { CallTracer } from '../telemetry/call-tracer.ts';
import { createCallMetrics } from './call-metrics.ts';
import { streamCall, unaryCall, uploadCall, type CallEnvironment, type RunningCall } from './call.ts';
import { requestType, serviceDefinition, serviceName, type ServiceName } from './contract.ts';
import type { CriHandlers, Handler, StreamHandler, UploadHandler } from './handlers.ts';
import { reserveSocketFile, unixSocketPath, type SocketFile } from './unix-socket.ts';

export interface CriServerOptions {
  /** `unix:///absolute/path` */
  readonly listen: string;
  readonly handlers: CriHandlers;
  readonly log: Logger;
  readonly metrics: Registry;
  /** Watches calls and their steps; without it nobody does. */
  readonly tracer?: CallTracer;
}

export interface CriServer {
  /** Where it listens, as clients write it. */
  readonly address: string;
  /**
   * Refuses new calls with UNAVAILABLE, ends streams, lets the other calls run for `graceMs`, then
   * aborts them and closes. Idempotent.
   */
  close(graceMs: number): Promise<void>;
}

/** Both ways. The kubelet allows itself 16 MiB too. */
const maxMessageBytes = 16 * 1024 * 1024;

/** For aborted handlers to undo what they began, before their connections are cut. */
const abortGraceMs = 5000;

/** No keepalive: the peer of a Unix socket cannot vanish without the kernel telling us. */
const serverOptions = {
  'grpc.max_receive_message_length': maxMessageBytes,
  'grpc.max_send_message_length': maxMessageBytes,
  'grpc.enable_channelz': 0,
};

const services: readonly ServiceName[] = ['RuntimeService', 'ImageService', 'Images'];

export async function startCriServer(options: CriServerOptions): Promise<CriServer> {
  const path = unixSocketPath(options.listen);
  const file = await reserveSocketFile(path);
  let closing: Promise<void> | undefined;
  const running = new Set<RunningCall>();
  const environment: CallEnvironment = {
    log: options.log,
    metrics: createCallMetrics(options.metrics),
    tracer: options.tracer,
    running,
    shuttingDown: () => closing !== undefined,
  };
  const server = new Server(serverOptions);
  for (const service of services) {
    const definition = serviceDefinition(service);
    server.addService(definition, implementation(service, definition, options.handlers, environment));
  }
  await bind(server, file, path);
  return {
    address: options.listen,
    close(graceMs) {
      closing ??= close(server, file, running, graceMs);
      return closing;
    },
  };
}

function implementation(
  service: ServiceName,
  definition: ServiceDefinition,
  handlers: CriHandlers,
  environment: CallEnvironment,
): UntypedServiceImplementation {
  // The handler of a method takes that method's messages; which type that is, only the contract knows here.
  const untyped = handlers as Readonly<Record<string, unknown>>;
  const entries = Object.entries(definition).map(([name, { requestStream, responseStream }]) => {
    const method = { name, service: serviceName(service), requestType: requestType(service, name) };
    if (responseStream) return [name, streamCall(method, untyped[name] as StreamHandler<object, object> | undefined, environment)];
    if (requestStream) return [name, uploadCall(method, untyped[name] as UploadHandler<object, object> | undefined, environment)];
    return [name, unaryCall(method, untyped[name] as Handler<object, object> | undefined, environment)];
  });
  return Object.fromEntries(entries) as UntypedServiceImplementation;
}

async function bind(server: Server, file: SocketFile, path: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.bindAsync(`unix:${file.bindPath}`, ServerCredentials.createInsecure(), (error) => {
    if (error === null) resolve();
    else reject(error);
  });
  try {
    await promise;
    await file.publish();
  } catch (cause) {
    server.forceShutdown();
    throw wrapError(`listen on ${path}`, cause, 'HOST_UNSUITABLE');
  }
}

async function close(server: Server, file: SocketFile, running: Set<RunningCall>, graceMs: number): Promise<void> {
  await file.remove();
  const { promise: drained, resolve } = Promise.withResolvers<void>();
  server.tryShutdown(() => resolve());
  abort(running, (call) => call.streaming);
  if (!(await within(drained, graceMs))) {
    abort(running, () => true);
    if (!(await within(drained, abortGraceMs))) server.forceShutdown();
  }
}

function abort(running: Set<RunningCall>, which: (call: RunningCall) => boolean): void {
  for (const call of running) {
    if (which(call)) call.signal.abort('SHUTTING_DOWN', 'berthd is shutting down');
  }
}

async function within(done: Promise<void>, ms: number): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(false), ms);
  try {
    return await Promise.race([done.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
