import type { Forwarder } from '../shim/forward.ts';
import type { ProcessSession } from '../shim/session.ts';

/** What somebody may do who comes with the URL: be connected to a process's standard streams. */
export interface ProcessRequest {
  /** For messages: "container 0123…". */
  readonly target: string;
  readonly terminal: boolean;
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** Called once, when the client has come. The signal is aborted when it has gone. */
  open(signal: AbortSignal): Promise<ProcessSession>;
}

/** Or be connected to ports inside of a pod. */
export interface ForwardRequest {
  /** For messages: "sandbox 0123…". */
  readonly target: string;
  /** For clients whose protocol does not name them itself. */
  readonly ports: readonly number[];
  /** Called when there is something to connect, and again when the forwarder has died. */
  open(signal: AbortSignal): Promise<Forwarder>;
}

/**
 * Gives the URLs that Exec, Attach and PortForward answer with. Each is good for one session, for one
 * minute. Throws STREAMS_EXHAUSTED when too many have been given out and not been used.
 */
export interface StreamUrls {
  exec(request: ProcessRequest): string;
  attach(request: ProcessRequest): string;
  portForward(request: ForwardRequest): string;
}
