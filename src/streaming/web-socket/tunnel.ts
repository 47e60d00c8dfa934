import { Duplex } from 'node:stream';
import type { RawData, WebSocket } from 'ws';

/** A WebSocket's binary messages as one stream of bytes each way: what SPDY runs on when it is tunnelled. */
export class WebSocketTunnel extends Duplex {
  readonly #socket: WebSocket;

  constructor(socket: WebSocket) {
    super({ allowHalfOpen: true });
    this.#socket = socket;
    socket.on('message', (data: RawData) => {
      if (!this.push(data)) socket.pause();
    });
    socket.on('error', (error) => this.destroy(error));
    socket.on('close', () => this.destroy());
  }

  override _read(): void {
    if (this.#socket.isPaused) this.#socket.resume();
  }

  override _write(bytes: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#send(bytes, done);
  }

  /** Parts that were written together go out as one message. */
  override _writev(parts: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.#send(Buffer.concat(parts.map(({ chunk }) => chunk)), done);
  }

  override _final(done: () => void): void {
    this.#socket.close(1000);
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (this.#socket.readyState !== this.#socket.CLOSED && this.#socket.readyState !== this.#socket.CLOSING) this.#socket.terminate();
    done(error);
  }

  #send(bytes: Buffer, done: (error?: Error | null) => void): void {
    if (this.#socket.readyState === this.#socket.OPEN) this.#socket.send(bytes, { binary: true }, done);
    else done(new Error('the WebSocket is closed'));
  }
}
