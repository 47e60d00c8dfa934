/** How calls are watched: their steps always by the metrics, and by a trace when there is somebody to send it to. */
import type { Attributes, StepObserver } from './steps.ts';

export interface CallOutcome {
  /** The gRPC status by name and number. */
  readonly code: string;
  readonly status: number;
  /** What the client got; undefined when the call succeeded. */
  readonly message: string | undefined;
  /** Whether the failure is Berth's or the machine's, not the client's. */
  readonly serverFault: boolean;
  readonly attributes: Attributes;
}

export interface WatchedCall {
  readonly observer: StepObserver;
  /** 32 hexadecimal digits, to be logged; undefined when the call is in no trace that is kept. */
  readonly traceId: string | undefined;
  end(outcome: CallOutcome): void;
}

export interface CallTracer {
  /** `traceparent` is the client's, of whatever form (W3C Trace Context). */
  begin(service: string, method: string, traceparent: string | undefined): WatchedCall;
  /** Sends what has not been sent yet. */
  close(): Promise<void>;
}

/** Traces nothing. */
export function untraced(steps: StepObserver): CallTracer {
  const call: WatchedCall = { observer: steps, traceId: undefined, end: () => undefined };
  return { begin: () => call, close: () => Promise.resolve() };
}
