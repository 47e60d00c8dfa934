/** How a registry's refusals and outages become errors of the catalogue. */

import { BerthError } from '../../errors/catalogue.ts';
import type { ErrorCode } from '../../errors/catalogue.ts';

/** A failure of one server; `transient` ones are worth another attempt at the same server. */
export class RegistryFailure extends BerthError {
  readonly transient: boolean;
  /** Milliseconds the server asked to wait; undefined when it said nothing. */
  readonly retryAfter: number | undefined;
  /** The HTTP status that told of it; undefined where none did. */
  readonly httpStatus: number | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    options: {
      readonly transient?: boolean;
      readonly retryAfter?: number | undefined;
      readonly httpStatus?: number | undefined;
      readonly cause?: unknown;
    } = {},
  ) {
    super(code, message, { cause: options.cause });
    this.transient = options.transient ?? false;
    this.retryAfter = options.retryAfter;
    this.httpStatus = options.httpStatus;
  }
}

/**
 * Words that the kubelet looks for at the start of a pull error (k8s.io/cri-api/pkg/errors): it shows
 * the pod the reason RegistryUnavailable instead of ErrImagePull.
 */
const unavailablePrefix = 'RegistryUnavailable';

export function unavailable(
  what: string,
  host: string,
  reason: string,
  options: {
    readonly transient: boolean;
    readonly retryAfter?: number | undefined;
    readonly httpStatus?: number | undefined;
    readonly cause?: unknown;
  },
): RegistryFailure {
  return new RegistryFailure('REGISTRY_UNAVAILABLE', `${unavailablePrefix}: ${what}: ${host} ${reason}`, options);
}

/** `status` is one that is not a success; `detail` is what the registry's error document said. */
export function failureOfStatus(
  what: string,
  host: string,
  status: number,
  detail: string,
  retryAfter: number | undefined,
): RegistryFailure {
  const said = detail === '' ? '' : `: ${detail}`;
  if (status === 404) return new RegistryFailure('REGISTRY_NOT_FOUND', `${what}: not found on ${host}${said}`, { httpStatus: status });
  if (status === 401 || status === 403) {
    return new RegistryFailure('REGISTRY_DENIED', `${what}: ${host} refused access with status ${status}${said}`, { httpStatus: status });
  }
  if (status === 408 || status === 429 || status >= 500) {
    return unavailable(what, host, `answered with status ${status}${said}`, { transient: true, retryAfter, httpStatus: status });
  }
  return new RegistryFailure('REGISTRY_PROTOCOL', `${what}: ${host} answered with status ${status}${said}`, { httpStatus: status });
}

/** The messages of an OCI error document (distribution spec "error codes"), made safe to print. */
export function errorDetail(body: string): string {
  let document: unknown;
  try {
    document = JSON.parse(body);
  } catch {
    return '';
  }
  const errors = typeof document === 'object' && document !== null && 'errors' in document ? document.errors : undefined;
  if (!Array.isArray(errors)) return '';
  const parts = errors.slice(0, 3).flatMap((entry: unknown) => {
    if (typeof entry !== 'object' || entry === null) return [];
    const { code, message } = entry as { readonly code?: unknown; readonly message?: unknown };
    return [[code, message].filter((part) => typeof part === 'string' && part !== '').join(' ')];
  });
  // eslint-disable-next-line no-control-regex -- control characters of a stranger must not reach a log or a terminal
  return parts.join('; ').replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ').slice(0, 300);
}

const notWorthRetryingHere = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EHOSTUNREACH', 'ENETUNREACH', 'UND_ERR_CONNECT_TIMEOUT']);

/** A request that got no answer, or whose answer broke off. Aborts pass through as they are. */
export function failureOfTransport(what: string, host: string, cause: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  if (cause instanceof BerthError) return cause;
  const code = errorCode(cause);
  if (code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT') {
    return unavailable(what, host, 'sent nothing for too long', { transient: false, cause });
  }
  const certificate = /CERT|SELF_SIGNED|UNABLE_TO_|ERR_TLS|ERR_SSL|EPROTO/.test(code);
  const reason = cause instanceof Error && cause.message !== '' ? cause.message : code || 'no reason given';
  return unavailable(what, host, `cannot be reached: ${reason}`, { transient: !certificate, cause });
}

/** A server that is not there: another mirror, where there is one, is a better bet than waiting. */
export function isAbsentServer(failure: unknown): boolean {
  return failure instanceof RegistryFailure && notWorthRetryingHere.has(errorCode(failure.cause));
}

function errorCode(cause: unknown): string {
  if (cause instanceof AggregateError) return errorCode(cause.errors[0]);
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  return typeof code === 'string' ? code : '';
}
