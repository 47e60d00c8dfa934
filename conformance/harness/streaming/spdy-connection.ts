/** A client's side of SPDY/3.1, as far as streams from Kubernetes' protocols take, in two tempers: with windows, and without as Kubernetes' own clients. */

import { once } from 'node:events';
import { Duplex } from 'node:stream';
import { constants, deflateRawSync, deflateSync } from 'node:zlib';
import { FrameDecoder } from '../../../src/streaming/spdy/decoder.ts';
import { headerDictionary } from '../../../src/streaming/spdy/dictionary.ts';
import {
  dataHeader, defaultWindow, encodeReset, encodeSettings, encodeSynStream, encodeWindowUpdate, resetStatus, setting,
} from '../../../src/streaming/spdy/frames.ts';
import type { ControlFrame } from '../../../src/streaming/spdy/frames.ts';

export interface SpdyOptions {
  /** Announces this window, keeps to the server's, and gives credit only for what has been read. Absent: takes no part in flow control. */
  readonly window?: number;
}

/** Streams to a server, over a connection that has been upgraded. */
export class SpdyConnection {
  readonly socket: Duplex;
  readonly #window: number | undefined;
  readonly #streams = new Map<number, SpdyClientStream>();
  #nextId = 1;
  #block: Buffer = headerDictionary;
  serverWindow = defaultWindow;
  sessionCredit = defaultWindow;
  /** The most that the server has sent on one stream without credit. */
  overrun = 0;
  goneAway: number | undefined;

  constructor(socket: Duplex, options: SpdyOptions = {}) {
    this.socket = socket;
    this.#window = options.window;
    const decoder = new FrameDecoder({ control: (frame) => this.#control(frame), data: (id, bytes, fin) => this.#streams.get(id)?.receive(bytes, fin) });
    socket.on('data', (chunk: Buffer) => decoder.push(chunk));
    // Many streams wait for one connection to drain.
    socket.setMaxListeners(0);
    socket.on('error', () => undefined);
    socket.on('close', () => {
      for (const stream of this.#streams.values()) stream.destroy();
    });
    if (options.window !== undefined) {
      socket.write(encodeSettings(new Map([[setting.INITIAL_WINDOW_SIZE, options.window]])));
      socket.write(encodeWindowUpdate(0, 2 ** 30));
    }
  }

  get keepsWindows(): boolean {
    return this.#window !== undefined;
  }

  /** Opens a stream and waits for the server's reply. Rejects when it is reset. */
  async open(headers: Readonly<Record<string, string>>): Promise<SpdyClientStream> {
    const stream = new SpdyClientStream(this.#nextId, this, this.#window);
    this.#nextId += 2;
    this.#streams.set(stream.id, stream);
    this.socket.write(encodeSynStream(stream.id, this.#compress(headers)));
    await stream.replied;
    return stream;
  }

  forget(id: number): void {
    this.#streams.delete(id);
  }

  /** One deflate stream over all blocks, each flushed: what a real client's compressor makes. */
  #compress(headers: Readonly<Record<string, string>>): Buffer {
    const texts = Object.entries(headers).flat().flatMap((text) => [number(Buffer.byteLength(text)), Buffer.from(text)]);
    const block = Buffer.concat([number(Object.keys(headers).length), ...texts]);
    const options = { dictionary: this.#block, finishFlush: constants.Z_SYNC_FLUSH };
    const compressed = this.#block === headerDictionary ? deflateSync(block, options) : deflateRawSync(block, options);
    this.#block = Buffer.concat([this.#block, block]).subarray(-32768);
    return compressed;
  }

  #control(frame: ControlFrame): void {
    if (frame.type === 'SYN_REPLY') this.#streams.get(frame.streamId)?.accepted();
    if (frame.type === 'RST_STREAM') this.#streams.get(frame.streamId)?.wasReset(frame.status);
    if (frame.type === 'GOAWAY') this.goneAway = frame.status;
    if (frame.type === 'SETTINGS') this.serverWindow = frame.values.get(setting.INITIAL_WINDOW_SIZE) ?? this.serverWindow;
    if (frame.type !== 'WINDOW_UPDATE') return;
    if (frame.streamId === 0) this.sessionCredit += frame.delta;
    else this.#streams.get(frame.streamId)?.grant(frame.delta);
    for (const stream of this.#streams.values()) stream.continue();
  }
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

type Done = (error?: Error | null) => void;

export class SpdyClientStream extends Duplex {
  readonly id: number;
  /** The status of the server's RST_STREAM. */
  resetStatus: number | undefined;
  readonly #connection: SpdyConnection;
  readonly #window: number | undefined;
  readonly #replied = Promise.withResolvers<void>();
  readonly #arrived: (Buffer | null)[] = [];
  #wanted = false;
  #credit = 0;
  #sent = 0;
  /** Bytes that have come, read or not. */
  received = 0;
  #granted = 0;
  #resume: (() => void) | undefined;

  constructor(id: number, connection: SpdyConnection, window: number | undefined) {
    super({ allowHalfOpen: true });
    this.id = id;
    this.#connection = connection;
    this.#window = window;
    this.#replied.promise.catch(() => undefined);
    this.on('error', () => undefined);
  }

  get replied(): Promise<void> {
    return this.#replied.promise;
  }

  /** RST_STREAM: gives up this stream, not the session. */
  reset(): void {
    this.#connection.socket.write(encodeReset(this.id, resetStatus.CANCEL));
    this.#connection.forget(this.id);
    this.destroy();
  }

  accepted(): void {
    this.#replied.resolve();
  }

  wasReset(status: number): void {
    this.resetStatus = status;
    this.#replied.reject(new Error(`stream ${this.id} was reset with status ${status}`));
    this.destroy();
  }

  receive(bytes: Buffer, fin: boolean): void {
    this.received += bytes.length;
    if (this.#window !== undefined) this.#connection.overrun = Math.max(this.#connection.overrun, this.received - this.#granted - this.#window);
    if (bytes.length > 0) this.#arrived.push(bytes);
    if (fin) this.#arrived.push(null);
    this.#deliver();
    if (this.#window === undefined && this.#arrived.some((waiting) => waiting !== null)) this.#connection.socket.pause();
  }

  grant(bytes: number): void {
    this.#credit += bytes;
  }

  continue(): void {
    const resume = this.#resume;
    this.#resume = undefined;
    resume?.();
  }

  override _read(): void {
    this.#wanted = true;
    if (this.#window === undefined) this.#connection.socket.resume();
    this.#deliver();
  }

  #deliver(): void {
    while (this.#wanted && this.#arrived.length > 0) {
      const bytes = this.#arrived.shift() ?? null;
      this.#wanted = this.push(bytes);
      if (bytes === null || this.#window === undefined) continue;
      this.#granted += bytes.length;
      this.#connection.socket.write(encodeWindowUpdate(this.id, bytes.length));
    }
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    const { socket, serverWindow, sessionCredit, keepsWindows } = this.#connection;
    if (this.destroyed || socket.destroyed) return done(new Error('closed'));
    const allowed = keepsWindows ? Math.min(serverWindow + this.#credit - this.#sent, sessionCredit) : chunk.length;
    const part = chunk.subarray(0, Math.max(0, allowed));
    if (part.length > 0) {
      this.#sent += part.length;
      this.#connection.sessionCredit -= keepsWindows ? part.length : 0;
      socket.write(dataHeader(this.id, part.length, false));
      socket.write(part);
    }
    const rest = chunk.subarray(part.length);
    if (rest.length > 0) {
      this.#resume = () => this._write(rest, 'binary', done);
      return;
    }
    if (socket.writableNeedDrain) once(socket, 'drain').then(() => done(), done);
    else done();
  }

  override _final(done: Done): void {
    this.#connection.socket.write(dataHeader(this.id, 0, true));
    done();
  }

  override _destroy(error: Error | null, done: Done): void {
    this.continue();
    done(error);
  }
}
