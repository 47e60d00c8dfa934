import type { ProcessRequest } from '../requests.ts';
import { resetStatus } from '../spdy/frames.ts';
import type { SpdySession } from '../spdy/session.ts';
import type { SpdyStream } from '../spdy/stream.ts';
import type { CommandChannels } from './channels.ts';
import { encodeStatus } from './status.ts';
import type { StatusFormat } from './status.ts';

/**
 * The versions of the remote command protocol over SPDY. Each stream names what it is in its header
 * `streamtype`. From version 3 on a terminal has a resize stream, from 4 on the error stream holds a
 * metav1.Status. Without a version it is the first.
 */
export const spdyCommandProtocols: ReadonlySet<string> = new Set(['v4.channel.k8s.io', 'v3.channel.k8s.io', 'v2.channel.k8s.io', 'channel.k8s.io']);

type StreamType = 'error' | 'stdin' | 'stdout' | 'stderr' | 'resize';

const streamTypes: ReadonlySet<string> = new Set<StreamType>(['error', 'stdin', 'stdout', 'stderr', 'resize']);

function expectedStreams(request: ProcessRequest, protocol: string): ReadonlySet<StreamType> {
  const resizes = request.terminal && (protocol === 'v4.channel.k8s.io' || protocol === 'v3.channel.k8s.io');
  const wanted: Record<StreamType, boolean> = {
    error: true, stdin: request.stdin, stdout: request.stdout, stderr: request.stderr, resize: resizes,
  };
  return new Set((Object.keys(wanted) as StreamType[]).filter((type) => wanted[type]));
}

/** Takes the client's streams as they are opened, until all that belong to the request are there. */
export class SpdyCommandStreams {
  readonly #streams = new Map<StreamType, SpdyStream>();
  readonly #expected: ReadonlySet<StreamType>;
  readonly #format: StatusFormat;
  readonly #complete = Promise.withResolvers<void>();

  constructor(request: ProcessRequest, protocol: string) {
    this.#expected = expectedStreams(request, protocol);
    this.#format = protocol === 'v4.channel.k8s.io' ? 'status' : 'text';
  }

  /** Resolves when all are there. */
  get complete(): Promise<void> {
    return this.#complete.promise;
  }

  take(stream: SpdyStream): void {
    const type = stream.headers.get('streamtype') ?? '';
    if (!isStreamType(type) || this.#streams.has(type)) return stream.reset(resetStatus.REFUSED_STREAM);
    stream.reply();
    if (!this.#expected.has(type)) return discard(stream);
    // The client writes nothing into those; without a reader its end would never be seen.
    if (type !== 'stdin' && type !== 'resize') stream.resume();
    this.#streams.set(type, stream);
    if (this.#streams.size === this.#expected.size) this.#complete.resolve();
  }

  channels(session: SpdySession): CommandChannels {
    return {
      stdin: this.#streams.get('stdin'),
      stdout: this.#streams.get('stdout'),
      stderr: this.#streams.get('stderr'),
      resize: this.#streams.get('resize'),
      finish: (status) => {
        const error = this.#streams.get('error');
        const end = (): void => session.end();
        if (error === undefined || error.destroyed) return end();
        for (const type of ['stdout', 'stderr'] as const) this.#streams.get(type)?.end();
        error.end(encodeStatus(status, this.#format), end);
        // A client that resets it does not want to know.
        error.once('close', end);
      },
    };
  }
}

/** It may be open, but carries nothing: what comes is dropped, and there is nothing to say. */
function discard(stream: SpdyStream): void {
  stream.resume();
  stream.end();
}

function isStreamType(value: string): value is StreamType {
  return streamTypes.has(value);
}
