/** From whatever a handler threw to the gRPC status that the client gets. */
import type { StatusObject } from '@grpc/grpc-js';
import { BerthError, grpcStatus, wrapError } from '../errors/catalogue.ts';

/** Details travel in an HTTP/2 header; clients refuse header lists that are too long. */
const maxDetailsLength = 4096;

const statusNames = new Map<number, string>(Object.entries(grpcStatus).map(([name, number]) => [number, name]));

export function statusName(code: number): string {
  return statusNames.get(code) ?? `CODE_${code}`;
}

/**
 * An error outside the catalogue becomes INTERNAL. One that only says "aborted" (AbortError, as
 * Node's own APIs throw) is replaced by the reason for which the call was aborted.
 */
export function toBerthError(method: string, thrown: unknown, signal: AbortSignal): BerthError {
  const isPlainAbort = thrown instanceof Error && thrown.name === 'AbortError';
  if (signal.aborted && isPlainAbort && signal.reason instanceof BerthError) return signal.reason;
  return thrown instanceof BerthError ? thrown : wrapError(method, thrown);
}

/** Whether the catalogue knew this error; if not, its stack is worth a log line. */
export function isExpected(thrown: unknown): boolean {
  return thrown instanceof BerthError || (thrown instanceof Error && thrown.name === 'AbortError');
}

export function toStatus(error: BerthError): Pick<StatusObject, 'code' | 'details'> {
  // gRPC encodes the message with encodeURI, which throws on half a surrogate pair.
  const text = error.message.toWellFormed();
  const details = text.length <= maxDetailsLength ? text : `${text.slice(0, maxDetailsLength).toWellFormed()}…`;
  return { code: error.status, details };
}
