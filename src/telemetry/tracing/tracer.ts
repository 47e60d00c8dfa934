/** Calls as traces: one for each RPC, with a span for each of its steps. */
import { BerthError } from '../../errors/catalogue.ts';
import type { CallOutcome, CallTracer, WatchedCall } from '../call-tracer.ts';
import type { Clock } from '../clock.ts';
import type { Attributes, StepObserver } from '../steps.ts';
import type { FinishedSpan } from './otlp.ts';
import type { Sampler } from './sampler.ts';
import { newSpanId, newTraceId, parseTraceparent } from './trace-context.ts';

export interface TracerOptions {
  /** Watches the steps, too, whether or not a trace is kept. */
  readonly steps: StepObserver;
  readonly sampler: Sampler;
  readonly clock: Clock;
  readonly spans: { add(span: FinishedSpan): void; close(): Promise<void> };
}

export function createTracer(options: TracerOptions): CallTracer {
  const { steps, sampler, clock, spans } = options;
  return {
    begin(service, method, traceparent) {
      const parent = parseTraceparent(traceparent);
      const traceId = parent?.traceId ?? newTraceId();
      if (!sampler(parent, traceId)) return { observer: steps, traceId: undefined, end: () => undefined };
      return new TracedCall(options, { service, method, traceId, parentSpanId: parent?.spanId, began: clock.nowNanos() });
    },
    close: () => spans.close(),
  };
}

interface CallIdentity {
  readonly service: string;
  readonly method: string;
  readonly traceId: string;
  readonly parentSpanId: string | undefined;
  readonly began: bigint;
}

class TracedCall implements WatchedCall {
  readonly observer: StepObserver;
  readonly #options: TracerOptions;
  readonly #call: CallIdentity;
  readonly #spanId = newSpanId();

  constructor(options: TracerOptions, call: CallIdentity) {
    this.#options = options;
    this.#call = call;
    this.observer = stepSpans(options, call.traceId, this.#spanId, options.steps);
  }

  get traceId(): string {
    return this.#call.traceId;
  }

  /** Names by OpenTelemetry's semantic conventions for gRPC. */
  end(outcome: CallOutcome): void {
    const { service, method, traceId, parentSpanId, began } = this.#call;
    this.#options.spans.add({
      traceId,
      spanId: this.#spanId,
      parentSpanId,
      name: `${service}/${method}`,
      kind: 'server',
      began,
      ended: this.#options.clock.nowNanos(),
      attributes: { 'rpc.system': 'grpc', 'rpc.service': service, 'rpc.method': method, 'rpc.grpc.status_code': outcome.status, ...outcome.attributes },
      error: outcome.serverFault ? `${outcome.code}: ${outcome.message ?? ''}` : undefined,
    });
  }
}

function stepSpans({ clock, spans }: Pick<TracerOptions, 'clock' | 'spans'>, traceId: string, parentSpanId: string, metrics: StepObserver): StepObserver {
  return {
    begin(name, attributes) {
      const measured = metrics.begin(name, attributes);
      const spanId = newSpanId();
      const began = clock.nowNanos();
      return {
        inner: stepSpans({ clock, spans }, traceId, spanId, measured.inner),
        end(error) {
          measured.end(error);
          spans.add({ traceId, spanId, parentSpanId, name, kind: 'internal', began, ended: clock.nowNanos(), attributes: ofStep(attributes, error), error: reasonOf(error) });
        },
      };
    },
  };
}

function ofStep(attributes: Attributes, error: unknown): Attributes {
  return error instanceof BerthError ? { ...attributes, 'error.type': error.code } : attributes;
}

function reasonOf(error: unknown): string | undefined {
  if (error === undefined) return undefined;
  return error instanceof Error ? error.message : JSON.stringify(error);
}
