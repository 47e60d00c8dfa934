/** Port-forward as a client sees it: connections to ports of a pod, over SPDY directly or in a WebSocket. */

import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { SpdyConnection } from './spdy-connection.ts';
import type { SpdyClientStream, SpdyOptions } from './spdy-connection.ts';
import { upgrade, upgradeWith } from './upgrade.ts';

export interface ForwardedConnection {
  readonly data: SpdyClientStream;
  /** What the error stream said, whole: empty when all went well. */
  readonly error: Promise<string>;
}

export interface ForwardSession {
  readonly spdy: SpdyConnection;
  connect(port: number): Promise<ForwardedConnection>;
  close(): void;
}

let lastRequest = 0;

export function forwardSession(spdy: SpdyConnection): ForwardSession {
  return {
    spdy,
    connect: async (port) => {
      lastRequest += 1;
      const headers = { port: String(port), requestid: String(lastRequest) };
      const error = await spdy.open({ streamtype: 'error', ...headers });
      error.end();
      const said = text(error).catch((cause: unknown) => `the error stream broke: ${String(cause)}`);
      return { data: await spdy.open({ streamtype: 'data', ...headers }), error: said };
    },
    close: () => void spdy.socket.destroy(),
  };
}

export async function forwardOverSpdy(url: string, options: SpdyOptions = {}): Promise<ForwardSession> {
  const { socket } = await upgrade(url, ['portforward.k8s.io']);
  return forwardSession(new SpdyConnection(socket, options));
}

/** SPDY in a WebSocket's messages. */
export async function forwardThroughTunnel(url: string): Promise<ForwardSession> {
  const { socket } = await upgradeWith(url, 'GET', {
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': randomBytes(16).toString('base64'),
    'Sec-WebSocket-Protocol': 'SPDY/3.1+portforward.k8s.io',
  });
  return forwardSession(new SpdyConnection(new MessageTunnel(socket)));
}

/** Binary messages both ways, by hand: WebSocket libraries refuse the tunnel's name, which has a slash in it. */
class MessageTunnel extends Duplex {
  readonly #socket: Socket;
  #rest: Buffer = Buffer.alloc(0);

  constructor(socket: Socket) {
    super();
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('error', () => undefined);
    socket.on('close', () => this.destroy());
  }

  override _read(): void {
    this.#socket.resume();
  }

  /** FIN and binary, masked with zeros. */
  override _write(bytes: Buffer, _encoding: BufferEncoding, done: () => void): void {
    const head = Buffer.alloc(14);
    head[0] = 0x82;
    head[1] = 0x80 | 127;
    head.writeUInt32BE(bytes.length, 6);
    this.#socket.write(head);
    if (this.#socket.write(bytes)) done();
    else this.#socket.once('drain', done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#socket.destroy();
    done(error);
  }

  #receive(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    for (;;) {
      const short = (this.#rest[1] ?? 0) & 0x7f;
      const headBytes = short < 126 ? 2 : short === 126 ? 4 : 10;
      if (this.#rest.length < headBytes) return;
      const length = short < 126 ? short : short === 126 ? this.#rest.readUInt16BE(2) : this.#rest.readUInt32BE(6);
      if (this.#rest.length < headBytes + length) return;
      const binary = this.#rest[0] === 0x82;
      const payload = this.#rest.subarray(headBytes, headBytes + length);
      this.#rest = this.#rest.subarray(headBytes + length);
      if (binary && !this.push(payload)) this.#socket.pause();
    }
  }
}
