import type { Socket } from 'node:net';
import type { Duplex, Writable } from 'node:stream';
import type { Forwarder } from '../../shim/forward.ts';
import { received, usedUp } from '../../shim/received-memory.ts';
import type { ForwardRequest } from '../requests.ts';

/** The connections of one session to one pod. Its forwarder is started for the first of them and ends with the session. */
export class PodPorts {
  readonly #request: ForwardRequest;
  readonly #signal: AbortSignal;
  #forwarder: Promise<Forwarder> | undefined;

  /** The signal is aborted when the session is over. */
  constructor(request: ForwardRequest, signal: AbortSignal) {
    this.#request = request;
    this.#signal = signal;
  }

  async connect(port: number): Promise<Socket> {
    this.#forwarder ??= this.#open();
    return await (await this.#forwarder).connect(port, this.#signal);
  }

  async #open(): Promise<Forwarder> {
    const again = (): void => {
      this.#forwarder = undefined;
    };
    try {
      const forwarder = await this.#request.open(this.#signal);
      if (this.#signal.aborted) forwarder.close();
      this.#signal.addEventListener('abort', () => forwarder.close(), { once: true });
      forwarder.closed.then(again, again);
      return forwarder;
    } catch (cause) {
      again();
      throw cause;
    }
  }
}

export interface ForwardedConnection {
  readonly port: number;
  readonly data: Duplex;
  /** Takes one message when it does not work out, and ends when the pod has said all it has to say. */
  readonly error: Writable;
}

/**
 * Connects a client's stream to a port of the pod. Each direction ends by itself. The error stream ends
 * with what comes from the pod: clients wait for that before they close their own connection. Resolves when
 * both directions are over.
 */
export async function relay(ports: PodPorts, target: string, connection: ForwardedConnection): Promise<void> {
  const { port, data, error } = connection;
  let socket: Socket;
  try {
    socket = await ports.connect(port);
  } catch (cause) {
    error.end(`error forwarding port ${port} to ${target}: ${cause instanceof Error ? cause.message : String(cause)}`);
    data.destroy();
    return;
  }
  await splice(socket, data, () => error.end());
}

/** A stream that closes before both of its ends were reset: the other must not wait for more. */
function splice(socket: Socket, data: Duplex, podDone: () => void): Promise<void> {
  const whole = (stream: Duplex): boolean => stream.readableEnded && stream.writableFinished;
  return new Promise((resolve) => {
    let open = 2;
    const closed = (stream: Duplex, other: Duplex): void => {
      if (!whole(stream)) other.destroy();
      if (stream === socket) podDone();
      open -= 1;
      if (open === 0) resolve();
    };
    socket.once('end', podDone);
    socket.once('close', () => closed(socket, data));
    if (data.destroyed) closed(data, socket);
    else data.once('close', () => closed(data, socket));
    pump(data, socket, (bytes) => socket.write(bytes, () => usedUp(bytes)));
    pump(socket, data, (bytes) => {
      received(bytes);
      return data.write(bytes);
    });
  });
}

/** Carries one direction, and its end. `write` is false when the target wants no more for now. */
function pump(source: Duplex, target: Duplex, write: (bytes: Buffer) => boolean): void {
  target.on('drain', () => source.resume());
  source.on('data', (bytes: Buffer) => {
    if (!target.destroyed && !write(bytes)) source.pause();
  });
  source.once('end', () => target.end());
}
