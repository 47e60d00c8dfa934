/** Spans in the JSON encoding of OTLP (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding). */
import type { Attributes } from '../steps.ts';

export interface FinishedSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** Undefined for the first of a trace. */
  readonly parentSpanId: string | undefined;
  readonly name: string;
  readonly kind: 'internal' | 'server';
  /** Nanoseconds since the epoch. */
  readonly began: bigint;
  readonly ended: bigint;
  readonly attributes: Attributes;
  readonly error: string | undefined;
}

const kinds = { internal: 1, server: 2 } as const;

/** STATUS_CODE_ERROR of the trace protocol. */
const errorStatus = 2;

/** The body of one request to the collector. */
export function exportRequest(resource: Attributes, version: string, spans: readonly FinishedSpan[]): string {
  return JSON.stringify({
    resourceSpans: [{
      resource: { attributes: keyValues(resource) },
      scopeSpans: [{ scope: { name: 'berth', version }, spans: spans.map(spanJson) }],
    }],
  });
}

function spanJson(span: FinishedSpan): object {
  return {
    traceId: span.traceId,
    spanId: span.spanId,
    ...(span.parentSpanId !== undefined && { parentSpanId: span.parentSpanId }),
    name: span.name,
    kind: kinds[span.kind],
    startTimeUnixNano: String(span.began),
    endTimeUnixNano: String(span.ended),
    attributes: keyValues(span.attributes),
    status: span.error === undefined ? {} : { code: errorStatus, message: span.error },
  };
}

function keyValues(attributes: Attributes): object[] {
  return Object.entries(attributes).map(([key, value]) => ({ key, value: anyValue(value) }));
}

function anyValue(value: string | number | boolean): object {
  if (typeof value === 'string') return { stringValue: value };
  if (typeof value === 'boolean') return { boolValue: value };
  // 64-bit integers are strings in protobuf's JSON.
  return Number.isInteger(value) ? { intValue: String(value) } : { doubleValue: value };
}
