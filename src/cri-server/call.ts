/**
 * The one wrapper around every RPC: request id, child logger, log line, metrics, deadline,
 * cancellation, request check and error mapping. Handlers do none of it.
 *
 *   request → shutting down? → handler? → check → handler (context) → response
 *                  │              │         │          │
 *                  └──────────────┴─────────┴──────────┴→ catalogue error → gRPC status
 *   and, whichever way it went, once: metrics, log line, timer released
 */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { Metadata } from '@grpc/grpc-js';
import type { handleClientStreamingCall, handleServerStreamingCall, handleUnaryCall } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import { BerthError } from '../errors/catalogue.ts';
import type { CallContext } from '../telemetry/call-context.ts';
import type { CallTracer, WatchedCall } from '../telemetry/call-tracer.ts';
import { observed } from '../telemetry/steps.ts';
import { isServerFault, logCall, noteSubject, type CallSubject } from './call-log.ts';
import type { CallMetrics } from './call-metrics.ts';
import { createCallSignal, type CallSignal } from './call-signal.ts';
import { isExpected, statusName, toBerthError, toStatus } from './call-status.ts';
import type { Handler, StreamHandler, UploadHandler } from './handlers.ts';
import { methodTraits } from './methods.ts';
import { checkRequest } from './request-check.ts';

export interface CallEnvironment {
  readonly log: Logger;
  readonly metrics: CallMetrics;
  readonly tracer: CallTracer | undefined;
  /** Calls that run, so that shutdown can abort them. */
  readonly running: Set<RunningCall>;
  shuttingDown(): boolean;
}

export interface RunningCall {
  readonly streaming: boolean;
  readonly signal: CallSignal;
}

export interface Method {
  readonly name: string;
  /** With its package. */
  readonly service: string;
  /** Message name of the request. */
  readonly requestType: string;
}

/** What calls of all kinds have in common. */
interface AnyCall {
  /** Not of an upload, whose requests come one by one; its handler checks them. */
  readonly request?: object;
  readonly metadata: Metadata;
  getDeadline(): Date | number;
  on(event: 'cancelled', listener: () => void): unknown;
}

export function unaryCall(
  method: Method,
  handler: Handler<object, object> | undefined,
  environment: CallEnvironment,
): handleUnaryCall<object, object> {
  return (call, callback) => {
    const wrapped = new WrappedCall(method, call, environment, false);
    void wrapped
      .run(handler, async (run) => {
        const response = await run(call.request, wrapped.context);
        noteSubject(wrapped.subject, response);
        return response;
      })
      .then(
        (response) => callback(null, response),
        (error: BerthError) => callback(toStatus(error)),
      );
  };
}

export function streamCall(
  method: Method,
  handler: StreamHandler<object, object> | undefined,
  environment: CallEnvironment,
): handleServerStreamingCall<object, object> {
  return (call) => {
    const wrapped = new WrappedCall(method, call, environment, true);
    void wrapped
      .run(handler, async (run) => {
        // At once, so that the client knows that it is being served before there is anything to tell.
        call.sendMetadata(new Metadata());
        for await (const response of run(call.request, wrapped.context)) {
          wrapped.context.signal.throwIfAborted();
          // A slow client slows the handler down instead of filling memory.
          if (!call.write(response)) await once(call, 'drain', { signal: wrapped.context.signal });
        }
        wrapped.context.signal.throwIfAborted();
      })
      .then(
        () => call.end(),
        (error: BerthError) => call.emit('error', toStatus(error)),
      );
  };
}

export function uploadCall(
  method: Method,
  handler: UploadHandler<object, object> | undefined,
  environment: CallEnvironment,
): handleClientStreamingCall<object, object> {
  return (call, callback) => {
    const wrapped = new WrappedCall(method, call, environment, false);
    // A client that leaves in the middle is told by the signal; without a listener it would end the process.
    call.on('error', () => undefined);
    void wrapped
      .run(handler, (run) => run(call as AsyncIterable<object>, wrapped.context))
      .finally(() => call.resume())
      .then(
        (response) => callback(null, response),
        (error: BerthError) => callback(toStatus(error)),
      );
  };
}

/** The life of one call. */
class WrappedCall {
  readonly context: CallContext;
  readonly subject: CallSubject = {};
  readonly #method: Method;
  readonly #call: AnyCall;
  readonly #environment: CallEnvironment;
  readonly #running: RunningCall;
  readonly #watched: WatchedCall | undefined;
  readonly #startedAt = performance.now();

  constructor(method: Method, call: AnyCall, environment: CallEnvironment, streaming: boolean) {
    this.#method = method;
    this.#call = call;
    this.#environment = environment;
    const deadline = call.getDeadline();
    const clientDeadline = deadline instanceof Date ? deadline.getTime() : deadline;
    const signal = createCallSignal(method.name, clientDeadline, methodTraits(method.name).maxSeconds);
    this.#running = { streaming, signal };
    const requestId = randomUUID();
    const [traceparent] = call.metadata.get('traceparent');
    this.#watched = environment.tracer?.begin(method.service, method.name, traceparent?.toString());
    const traceId = this.#watched?.traceId;
    this.context = {
      requestId,
      signal: signal.signal,
      log: environment.log.child({ requestId, ...(traceId !== undefined && { traceId }), method: method.name }),
    };
  }

  /** Runs `work` with the handler between start and finish; rejects with a BerthError alone. */
  async run<AnyHandler, Result>(
    handler: AnyHandler | undefined,
    work: (handler: AnyHandler) => Promise<Result>,
  ): Promise<Result> {
    this.#start();
    try {
      const ready = this.#admit(handler);
      const result = await (this.#watched === undefined ? work(ready) : observed(this.#watched.observer, () => work(ready)));
      this.#finish(undefined, undefined);
      return result;
    } catch (thrown) {
      const error = toBerthError(this.#method.name, thrown, this.context.signal);
      this.#finish(error, isExpected(thrown) ? undefined : thrown);
      throw error;
    }
  }

  #start(): void {
    this.#environment.metrics.started(this.#method.name);
    this.#environment.running.add(this.#running);
    this.#call.on('cancelled', () => this.#onCancelled());
  }

  #admit<AnyHandler>(handler: AnyHandler | undefined): AnyHandler {
    const { request } = this.#call;
    if (request !== undefined) noteSubject(this.subject, request);
    const { name, requestType } = this.#method;
    if (this.#environment.shuttingDown()) throw new BerthError('SHUTTING_DOWN', `${name}: berthd is shutting down`);
    if (handler === undefined) throw new BerthError('NOT_IMPLEMENTED', `${name} is not implemented by this berthd`);
    if (request !== undefined) checkRequest(requestType, request);
    return handler;
  }

  /** gRPC reports a passed deadline as a cancellation too, at about the time of our own timer. */
  #onCancelled(): void {
    const deadline = Number(this.#call.getDeadline());
    const { name } = this.#method;
    if (Date.now() >= deadline) this.#running.signal.abort('DEADLINE', `${name}: the client's deadline passed`);
    else this.#running.signal.abort('CANCELLED', `${name}: cancelled by the client`);
  }

  #finish(error: BerthError | undefined, unexpected: unknown): void {
    const durationMs = performance.now() - this.#startedAt;
    const { metrics, running } = this.#environment;
    running.delete(this.#running);
    this.#running.signal.done();
    const code = error === undefined ? 'OK' : statusName(error.status);
    metrics.finished(this.#method.name, code, durationMs / 1000);
    this.#watched?.end({
      code,
      status: error?.status ?? 0,
      message: error?.message,
      serverFault: error !== undefined && isServerFault(error),
      attributes: subjectAttributes(this.subject),
    });
    logCall(this.context.log, {
      durationMs,
      subject: this.subject,
      reading: methodTraits(this.#method.name).reading,
      ...(error !== undefined && { error }),
      ...(unexpected !== undefined && { unexpected }),
    });
  }
}

function subjectAttributes(subject: CallSubject): Record<string, string> {
  return Object.fromEntries(Object.entries(subject).map(([key, value]) => [`berth.${key}`, String(value)]));
}
