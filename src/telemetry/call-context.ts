import type { Logger } from 'pino';

/** What the call wrapper hands to every RPC handler beside the request. */
export interface CallContext {
  /** Aborted when the client cancels, its deadline passes, or berthd shuts down. */
  readonly signal: AbortSignal;
  /** Bound to the request id and the method; the wrapper itself logs the outcome. */
  readonly log: Logger;
  readonly requestId: string;
}
