import { BerthError } from '../errors/catalogue.ts';
import type { ErrorCode } from '../errors/catalogue.ts';

/** A failure as the native programs report it: which step, on what, with which errno. */
export interface NativeError {
  /** One of the step names of docs/shim-protocol.md. */
  readonly step: string;
  /** The object; may be empty. */
  readonly path: string;
  /** 0 when the failure has none. */
  readonly errno: number;
  /** "ENOENT" and so on; empty when errno is 0. */
  readonly errnoName: string;
  readonly message: string;
}

/** Reads an ERROR payload, or the `error` of status.json; missing parts become empty. */
export function readNativeError(value: Record<string, unknown>): NativeError {
  const text = (key: string) => (typeof value[key] === 'string' ? value[key] : '');
  return {
    step: text('step'),
    path: text('path'),
    errno: typeof value['errno'] === 'number' ? value['errno'] : 0,
    errnoName: text('errnoName'),
    message: text('message'),
  };
}

/**
 * Steps that fail because of what the request asked for rather than because of the machine. Not `hook`: hooks are the
 * node's own, and the request knows nothing of them.
 */
const requestSteps: ReadonlySet<string> = new Set(['mount', 'log', 'command', 'cwd', 'user', 'sysctl', 'rlimit', 'device', 'mask', 'readonly', 'exec', 'apparmor']);

/** Of those, the errnos that say that the named thing is absent or unusable. */
const requestErrnos: ReadonlySet<string> = new Set([
  '', 'ENOENT', 'EACCES', 'ENOTDIR', 'EISDIR', 'EINVAL', 'ENOEXEC', 'ELOOP', 'ENAMETOOLONG', 'EPERM', 'ENXIO', 'E2BIG', 'EEXIST', 'EROFS', 'ERANGE',
]);

export function nativeErrorCode(error: NativeError): ErrorCode {
  // Its process ended after the last that was heard of it.
  if ((error.step === 'exec' || error.step === 'kill') && error.errnoName === 'ESRCH') return 'CONTAINER_WRONG_STATE';
  if (error.errnoName === 'ENOSPC' || error.errnoName === 'EDQUOT') return 'DISK_FULL';
  return requestSteps.has(error.step) && requestErrnos.has(error.errnoName)
    ? 'CONTAINER_SETUP_REJECTED'
    : 'CONTAINER_SETUP_FAILED';
}

/** `attempted` names the object and the action: "start container 0123…". */
export function toBerthError(attempted: string, error: NativeError): BerthError {
  const where = error.path === '' ? error.step : `${error.step} ${error.path}`;
  const errno = error.errnoName === '' ? '' : ` [${error.errnoName}]`;
  return new BerthError(nativeErrorCode(error), `${attempted}: ${where}: ${error.message}${errno}`, { cause: error });
}
