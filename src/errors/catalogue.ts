/**
 * The catalogue of errors: one entry per thing that can go wrong, with the gRPC status that a CRI
 * client sees and what the operator can do about it. The codes are stable: scripts and alerts may
 * match on them.
 *
 * gRPC status numbers: https://grpc.github.io/grpc/core/md_doc_statuscodes.html
 */

/** gRPC status codes by name. */
export const grpcStatus = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;

export type GrpcStatus = (typeof grpcStatus)[keyof typeof grpcStatus];

interface CatalogueEntry {
  readonly status: GrpcStatus;
  /** What the operator can do; appended to the message of every error of this kind. */
  readonly remedy?: string;
}

export const catalogue = {
  INVALID_FIELD: { status: grpcStatus.INVALID_ARGUMENT },
  AMBIGUOUS_ID: { status: grpcStatus.INVALID_ARGUMENT, remedy: 'give more digits of the id' },
  SANDBOX_NOT_FOUND: { status: grpcStatus.NOT_FOUND },
  SANDBOX_NOT_READY: { status: grpcStatus.FAILED_PRECONDITION },
  CONTAINER_NOT_FOUND: { status: grpcStatus.NOT_FOUND },
  CONTAINER_WRONG_STATE: { status: grpcStatus.FAILED_PRECONDITION },
  CONTAINER_SETUP_FAILED: { status: grpcStatus.INTERNAL },
  CONTAINER_SETUP_REJECTED: { status: grpcStatus.INVALID_ARGUMENT },
  NAME_CONFLICT: {
    status: grpcStatus.ALREADY_EXISTS,
    remedy: 'remove the object that holds the name, or use another name or attempt',
  },
  UNKNOWN_HANDLER: {
    status: grpcStatus.INVALID_ARGUMENT,
    remedy: 'use a handler that Status lists, or configure this one',
  },
  IMAGE_NOT_FOUND: { status: grpcStatus.NOT_FOUND, remedy: 'pull the image first' },
  IMAGE_IN_USE: { status: grpcStatus.FAILED_PRECONDITION },
  INVALID_REFERENCE: { status: grpcStatus.INVALID_ARGUMENT },
  REGISTRY_NOT_FOUND: { status: grpcStatus.NOT_FOUND },
  REGISTRY_DENIED: {
    status: grpcStatus.PERMISSION_DENIED,
    remedy: 'check the credentials for this registry',
  },
  // The kubelet reads the reason from how a message begins, and only of errors with this status (k8s.io/cri-client).
  REGISTRY_UNAVAILABLE: { status: grpcStatus.UNKNOWN },
  REGISTRY_PROTOCOL: { status: grpcStatus.INTERNAL },
  DIGEST_MISMATCH: { status: grpcStatus.DATA_LOSS },
  LAYER_REFUSED: { status: grpcStatus.INVALID_ARGUMENT },
  LAYER_DAMAGED: { status: grpcStatus.DATA_LOSS, remedy: 'pull the image again' },
  UNPACK_FAILED: { status: grpcStatus.INTERNAL },
  ARCHIVE_REFUSED: { status: grpcStatus.INVALID_ARGUMENT },
  NOT_EXPORTABLE: {
    status: grpcStatus.FAILED_PRECONDITION,
    remedy: 'copy it from its registry instead',
  },
  DISK_FULL: { status: grpcStatus.RESOURCE_EXHAUSTED, remedy: 'free space on the disk' },
  NETWORK_NOT_READY: {
    status: grpcStatus.UNAVAILABLE,
    remedy: 'install a CNI configuration, see Status for the reason',
  },
  CNI_FAILED: { status: grpcStatus.INTERNAL },
  LAUNCHER_UNAVAILABLE: { status: grpcStatus.UNAVAILABLE },
  SHIM_UNAVAILABLE: { status: grpcStatus.UNAVAILABLE },
  SHIM_PROTOCOL: { status: grpcStatus.INTERNAL },
  LIMIT_REFUSED: { status: grpcStatus.INVALID_ARGUMENT },
  LIMIT_BELOW_USAGE: {
    status: grpcStatus.FAILED_PRECONDITION,
    remedy: 'ask for more than is in use, or have the container use less first',
  },
  CGROUP_FAILED: { status: grpcStatus.INTERNAL },
  SYSTEMD_UNAVAILABLE: {
    status: grpcStatus.UNAVAILABLE,
    remedy: 'see whether busctl status org.freedesktop.systemd1 answers, or use the cgroupfs driver',
  },
  EVENTS_LOST: {
    status: grpcStatus.RESOURCE_EXHAUSTED,
    remedy: 'list sandboxes and containers, then ask for events again, and read them faster',
  },
  STATE_FAILED: { status: grpcStatus.INTERNAL },
  FORWARD_REFUSED: { status: grpcStatus.UNAVAILABLE, remedy: 'start what is to listen there' },
  FORWARD_FAILED: { status: grpcStatus.UNAVAILABLE },
  STREAMS_EXHAUSTED: { status: grpcStatus.RESOURCE_EXHAUSTED, remedy: 'try again in a minute, or raise stream.max_pending' },
  EXEC_FAILED: { status: grpcStatus.INTERNAL },
  DEADLINE: { status: grpcStatus.DEADLINE_EXCEEDED },
  CANCELLED: { status: grpcStatus.CANCELLED },
  SHUTTING_DOWN: { status: grpcStatus.UNAVAILABLE, remedy: 'retry once berthd is back' },
  NOT_IMPLEMENTED: { status: grpcStatus.UNIMPLEMENTED },
  CONFIG_INVALID: { status: grpcStatus.FAILED_PRECONDITION },
  HOST_UNSUITABLE: { status: grpcStatus.FAILED_PRECONDITION },
  INTERNAL: { status: grpcStatus.INTERNAL },
} as const satisfies Record<string, CatalogueEntry>;

export type ErrorCode = keyof typeof catalogue;

/** An error from the catalogue. `message` names the object, the field or path, and the remedy. */
export class BerthError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { readonly cause?: unknown }) {
    const remedy = (catalogue[code] as CatalogueEntry).remedy;
    super(remedy === undefined ? message : `${message} (${remedy})`, options);
    this.name = 'BerthError';
    this.code = code;
  }

  get status(): GrpcStatus {
    return catalogue[this.code].status;
  }
}

/** The request is wrong in one field. `field` is its path in the message, `problem` says what and what instead. */
export function invalidField(field: string, problem: string): BerthError {
  return new BerthError('INVALID_FIELD', `${field}: ${problem}`);
}

/**
 * Wraps any failure with what was attempted and on which object. A BerthError keeps its code; an
 * aborted signal becomes CANCELLED or DEADLINE; a full disk becomes DISK_FULL; the rest INTERNAL.
 */
export function wrapError(attempted: string, cause: unknown, fallback: ErrorCode = 'INTERNAL'): BerthError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const message = `${attempted}: ${reason}`;
  const code = codeOf(cause) ?? fallback;
  return cause instanceof BerthError ? new BerthErrorWrap(code, message, cause) : new BerthError(code, message, { cause });
}

/** A wrap whose message already carries the inner remedy. */
class BerthErrorWrap extends BerthError {
  constructor(code: ErrorCode, message: string, cause: unknown) {
    super(code, message, { cause });
    this.message = message;
  }
}

function codeOf(cause: unknown): ErrorCode | undefined {
  if (cause instanceof BerthError) return cause.code;
  if (!(cause instanceof Error)) return undefined;
  if (cause.name === 'TimeoutError') return 'DEADLINE';
  if (cause.name === 'AbortError') return 'CANCELLED';
  const errno = (cause as NodeJS.ErrnoException).code;
  if (errno === 'ENOSPC' || errno === 'EDQUOT') return 'DISK_FULL';
  return undefined;
}
