/** Trace and span ids as W3C Trace Context has them (https://www.w3.org/TR/trace-context/). */
import { randomFillSync } from 'node:crypto';

export interface TraceContext {
  /** 32 and 16 lower-case hexadecimal digits, not all zero. */
  readonly traceId: string;
  readonly spanId: string;
  readonly sampled: boolean;
}

/** Undefined for what is no valid `traceparent`: then a new trace begins. */
export function parseTraceparent(text: string | undefined): TraceContext | undefined {
  const match = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/.exec(text ?? '');
  const [, version = 'ff', traceId = '', spanId = '', flags = '', more] = match ?? [];
  // A later version may add fields; the first has none.
  if (version === 'ff' || (version === '00' && more !== undefined)) return undefined;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

export function newTraceId(): string {
  return randomHex(16);
}

export function newSpanId(): string {
  return randomHex(8);
}

function randomHex(bytes: number): string {
  for (;;) {
    const hex = randomFillSync(Buffer.alloc(bytes)).toString('hex');
    if (!/^0+$/.test(hex)) return hex;
  }
}
