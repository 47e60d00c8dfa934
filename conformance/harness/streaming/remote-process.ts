/** Exec and attach as a client sees them, the same over SPDY and over WebSocket. */

import { Duplex, PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import type { Readable, Writable } from 'node:stream';
import { WebSocket } from 'ws';
import { SpdyConnection } from './spdy-connection.ts';
import type { SpdyClientStream, SpdyOptions } from './spdy-connection.ts';
import { upgrade } from './upgrade.ts';

export interface Wanted {
  readonly stdin?: boolean;
  readonly stdout?: boolean;
  readonly stderr?: boolean;
  readonly tty?: boolean;
}

export interface RemoteProcess {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** What the error stream said, whole. */
  readonly status: Promise<string>;
  readonly protocol: string;
  resize(columns: number, rows: number): void;
  /** Stops or goes on reading from the connection. */
  setPaused(paused: boolean): void;
  /** As when the client is killed. */
  kill(): void;
  /** Resolves when the connection is over. */
  readonly closed: Promise<void>;
}

export interface SpdyClientOptions extends SpdyOptions {
  readonly protocols?: readonly string[];
}

export async function overSpdy(url: string, wanted: Wanted, options: SpdyClientOptions = {}): Promise<RemoteProcess> {
  const { socket, protocol = '' } = await upgrade(url, options.protocols ?? ['v4.channel.k8s.io']);
  const connection = new SpdyConnection(socket, options);
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  const open = (type: string): Promise<SpdyClientStream> => connection.open({ streamtype: type });
  const error = await open('error');
  error.end();
  const stdin = wanted.stdin === true ? await open('stdin') : nothing();
  const stdout = wanted.stdout === false ? nothing() : await open('stdout');
  const stderr = wanted.stderr === true ? await open('stderr') : nothing();
  const resize = wanted.tty === true && /^v[34]/.test(protocol) ? await open('resize') : nothing();
  return {
    stdin, stdout, stderr, closed, protocol,
    status: text(error).catch((cause: unknown) => `the error stream broke: ${String(cause)}`).then((said) => {
      socket.end();
      return said;
    }),
    resize: (columns, rows) => void resize.write(`${JSON.stringify({ Width: columns, Height: rows })}\n`),
    setPaused: (paused) => void (paused ? socket.pause() : socket.resume()),
    kill: () => socket.resetAndDestroy(),
  };
}

function nothing(): Duplex {
  return new PassThrough().end().resume();
}

export async function overWebSocket(url: string, wanted: Wanted, protocol = 'v5.channel.k8s.io'): Promise<RemoteProcess> {
  const base64 = protocol.includes('base64');
  const encode = (number: number, bytes: Buffer): string | Buffer => (base64 ? `${number}${bytes.toString('base64')}` : Buffer.concat([Buffer.from([number]), bytes]));
  const outputs = [1, 2, 3].map(() => new PassThrough({ highWaterMark: 1 << 20 }));
  const socket = await connectWebSocket(url, protocol === '' ? [] : [protocol], (data, from) => {
    const number = base64 ? (data[0] ?? 0) - 0x30 : (data[0] ?? 0);
    const bytes = base64 ? Buffer.from(data.toString('latin1', 1), 'base64') : data.subarray(1);
    const output = outputs[number - 1];
    if (output?.write(bytes) !== false) return;
    from.pause();
    output.once('drain', () => from.resume());
  });
  socket.on('close', () => outputs.forEach((output) => output.end()));
  const [stdout, stderr, error] = outputs as [PassThrough, PassThrough, PassThrough];
  const stdin = new Duplex({
    read: () => undefined,
    write: (chunk: Buffer, _encoding, done) => socket.send(encode(0, chunk), done),
    final: (done) => {
      if (protocol.startsWith('v5')) socket.send(Buffer.from([255, 0]), done);
      else done();
    },
  });
  stdin.on('error', () => undefined);
  if (wanted.stdin !== true) stdin.destroy();
  return {
    stdin, stdout, stderr, protocol: socket.protocol,
    status: text(error),
    closed: new Promise<void>((resolve) => socket.once('close', () => resolve())),
    resize: (columns, rows) => socket.send(encode(4, Buffer.from(JSON.stringify({ Width: columns, Height: rows })))),
    setPaused: (paused) => (paused ? socket.pause() : socket.resume()),
    kill: () => socket.terminate(),
  };
}

/** Rejects with "Unexpected server response: STATUS". */
export function connectWebSocket(url: string, protocols: readonly string[], onMessage: (message: Buffer, from: WebSocket) => void): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url.replace(/^http/, 'ws'), [...protocols], { perMessageDeflate: false, rejectUnauthorized: false });
    // The first may come with the answer to the upgrade.
    socket.on('message', (message: Buffer) => onMessage(message, socket));
    socket.once('error', reject);
    socket.once('open', () => {
      socket.on('error', () => undefined);
      resolve(socket);
    });
  });
}
