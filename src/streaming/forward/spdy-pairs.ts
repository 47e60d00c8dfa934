import type { ForwardRequest } from '../requests.ts';
import { resetStatus } from '../spdy/frames.ts';
import type { SpdyStream } from '../spdy/stream.ts';
import { PodPorts, relay } from './relay.ts';

/** The protocol over SPDY, directly or in a tunnel. A connection is a pair of streams, `error` and `data`, each naming the port. */
export const spdyForwardProtocols: ReadonlySet<string> = new Set(['portforward.k8s.io']);

/** The same in a WebSocket's messages. */
export const tunnelForwardProtocols: ReadonlySet<string> = new Set(['SPDY/3.1+portforward.k8s.io']);

/** How long the second stream of a pair may take, in ms: as long as a kubelet waits for streams. */
const pairPatience = 30_000;

interface Half {
  readonly type: 'data' | 'error';
  readonly port: number;
  readonly stream: SpdyStream;
  readonly timer: NodeJS.Timeout;
}

/** Brings the two streams of each connection together and connects it. Nothing that befalls one touches the others. */
export class ForwardPairs {
  readonly #request: ForwardRequest;
  readonly #ports: PodPorts;
  readonly #halves = new Map<string, Half>();

  /** The signal is aborted when the session is over. */
  constructor(request: ForwardRequest, signal: AbortSignal) {
    this.#request = request;
    this.#ports = new PodPorts(request, signal);
  }

  take(stream: SpdyStream): void {
    const type = stream.headers.get('streamtype');
    const port = parsePort(stream.headers.get('port'));
    if (port === undefined || (type !== 'data' && type !== 'error')) return stream.reset(resetStatus.PROTOCOL_ERROR);
    const id = stream.headers.get('requestid') ?? pseudoRequestId(type, stream.id);
    const first = this.#halves.get(id);
    if (first?.type === type) return stream.reset(resetStatus.PROTOCOL_ERROR);
    stream.reply();
    if (type === 'error') stream.resume();
    if (first === undefined) return this.#keep(id, type, port, stream);
    this.#forget(id);
    const data = type === 'data' ? { port, stream } : first;
    const error = type === 'error' ? stream : first.stream;
    // It tells its failures itself.
    void relay(this.#ports, this.#request.target, { port: data.port, data: data.stream, error });
  }

  #keep(id: string, type: Half['type'], port: number, stream: SpdyStream): void {
    const timer = setTimeout(() => {
      this.#forget(id);
      stream.reset(resetStatus.CANCEL);
    }, pairPatience).unref();
    this.#halves.set(id, { type, port, stream, timer });
    stream.once('close', () => {
      if (this.#halves.get(id)?.stream === stream) this.#forget(id);
    });
  }

  #forget(id: string): void {
    clearTimeout(this.#halves.get(id)?.timer);
    this.#halves.delete(id);
  }
}

/** Clients from before request ids open the error stream first and the data stream right after it. */
function pseudoRequestId(type: 'data' | 'error', streamId: number): string {
  return `stream ${type === 'error' ? streamId : streamId - 2}`;
}

export function parsePort(text: string | undefined): number | undefined {
  const port = /^\d{1,5}$/.test(text ?? '') ? Number(text) : 0;
  return port >= 1 && port <= 0xffff ? port : undefined;
}
