/** One AbortSignal per call, from everything that can end it early. */
import { BerthError, type ErrorCode } from '../errors/catalogue.ts';

export interface CallSignal {
  readonly signal: AbortSignal;
  abort(code: ErrorCode, message: string): void;
  /** The call is over: nothing aborts the signal any more, for work may go on that others joined. */
  done(): void;
}

/** Longest delay that setTimeout takes; a longer one would fire at once. */
const longestTimeoutMs = 2 ** 31 - 1;

/**
 * `clientDeadline` is a time in ms since the epoch, or Infinity; `maxSeconds` is the server's own
 * limit, 0 for none. The signal's reason is always a BerthError, so that a handler may throw it as it is.
 */
export function createCallSignal(method: string, clientDeadline: number, maxSeconds: number): CallSignal {
  const controller = new AbortController();
  let over = false;
  const abort = (code: ErrorCode, message: string): void => {
    if (!over && !controller.signal.aborted) controller.abort(new BerthError(code, message));
  };
  const clientMs = Math.max(0, clientDeadline - Date.now());
  const serverMs = maxSeconds === 0 ? Infinity : maxSeconds * 1000;
  const delay = Math.min(clientMs, serverMs);
  const whose = clientMs <= serverMs ? "the client's deadline" : `berthd's limit of ${maxSeconds} s`;
  const timer =
    delay > longestTimeoutMs
      ? undefined
      : setTimeout(() => abort('DEADLINE', `${method}: ${whose} passed`), delay).unref();
  return {
    signal: controller.signal,
    abort,
    done() {
      over = true;
      clearTimeout(timer);
    },
  };
}
