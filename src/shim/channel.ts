import type { Duplex } from 'node:stream';
import { BerthError } from '../errors/catalogue.ts';
import { encodeFrame, encodeHeader, FrameDecoder, messageType, parseControl, protocolVersion } from './protocol.ts';
import type { Frame, MessageType } from './protocol.ts';
import { received } from './received-memory.ts';
import { readNativeError } from './native-error.ts';
import type { NativeError } from './native-error.ts';

/** The peer answered a request with ERROR. Callers give it its context with `toBerthError`. */
export class NativeFailure extends Error {
  readonly detail: NativeError;
  constructor(detail: NativeError) {
    super(detail.message);
    this.name = 'NativeFailure';
    this.detail = detail;
  }
}

interface Pending {
  resolve(result: Record<string, unknown>): void;
  reject(error: unknown): void;
}

interface ChannelOptions {
  /** For messages: "launcher", "shim 0123…". */
  readonly peer: string;
  /** Frames that are not a reply: EVENT, STDOUT, STDERR, EXIT. */
  onFrame?(frame: Frame): void;
  /** Once, when the connection has ended for whatever reason. */
  onClose?(error: BerthError): void;
}

/**
 * One connection that speaks the protocol: HELLO first, then requests with their replies. Every
 * request ends: by its reply, by its signal, or by the end of the connection.
 */
export class Channel {
  readonly #stream: Duplex;
  readonly #options: ChannelOptions;
  readonly #decoder = new FrameDecoder();
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;
  #greeted = false;
  #closed: BerthError | undefined;

  constructor(stream: Duplex, options: ChannelOptions) {
    this.#stream = stream;
    this.#options = options;
    stream.on('data', (chunk: Buffer) => this.#receive(chunk));
    stream.on('error', (cause) => this.#end(`connection failed: ${cause.message}`, cause));
    stream.on('end', () => this.#end('connection closed'));
    stream.on('close', () => this.#end('connection closed'));
    if (stream.destroyed) this.#endSoon();
    else this.#write(messageType.HELLO, 0, { version: protocolVersion, program: 'berthd', pid: process.pid });
  }

  /**
   * Sends a request and resolves with the payload of its OK. Rejects with NativeFailure on ERROR,
   * with SHIM_UNAVAILABLE when the connection ends first, with the signal's reason when aborted
   * (the peer may still carry the request out).
   */
  request(type: MessageType, payload: object, signal?: AbortSignal): Promise<Record<string, unknown>> {
    return this.open(type, payload, signal).reply;
  }

  /** Like `request`, for those whose id further frames carry. */
  open(type: MessageType, payload: object, signal?: AbortSignal): { id: number; reply: Promise<Record<string, unknown>> } {
    const id = this.#nextId;
    this.#nextId = id === 0xffff_ffff ? 1 : id + 1;
    const reply = new Promise<Record<string, unknown>>((resolve, reject) => {
      if (this.#closed !== undefined) return reject(this.#closed);
      if (signal?.aborted === true) return reject(signal.reason);
      // Before anything is registered: it throws on a payload that is too large.
      const frame = encodeFrame(type, id, payload);
      const onAbort = () => {
        this.#pending.delete(id);
        reject(signal?.reason);
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      const settled = <T>(settle: (value: T) => void) => (value: T) => {
        signal?.removeEventListener('abort', onAbort);
        this.#pending.delete(id);
        settle(value);
      };
      this.#pending.set(id, { resolve: settled(resolve), reject: settled(reject) });
      this.#stream.write(frame);
    });
    return { id, reply };
  }

  /** Sends a frame that has no reply (STDIN, RESIZE). False when the socket's buffer is full. */
  send(type: MessageType, requestId: number, payload: object): boolean {
    return this.#closed === undefined && this.#write(type, requestId, payload);
  }

  /** Like `send`, for at most 64 KiB of data, which are not copied: `written` is called when they are no longer needed. */
  sendData(type: MessageType, requestId: number, bytes: Buffer, written: () => void): boolean {
    if (this.#closed !== undefined) return false;
    this.#stream.cork();
    this.#stream.write(encodeHeader(type, requestId, bytes.length));
    const more = this.#stream.write(bytes, written);
    this.#stream.uncork();
    return more;
  }

  /** Stops or resumes reading, so that a slow consumer slows the process at the other end. */
  setPaused(paused: boolean): void {
    if (paused) this.#stream.pause();
    else this.#stream.resume();
  }

  onDrain(callback: () => void): void {
    this.#stream.once('drain', callback);
  }

  get closed(): boolean {
    return this.#closed !== undefined;
  }

  close(): void {
    this.#end('closed');
    this.#stream.destroy();
  }

  /** The connection had gone before this was made; not at once, because nobody has a hold of this yet. */
  #endSoon(): void {
    queueMicrotask(() => this.#end('connection closed'));
  }

  #write(type: MessageType, id: number, payload: object): boolean {
    return this.#stream.write(encodeFrame(type, id, payload));
  }

  #receive(chunk: Buffer): void {
    try {
      received(chunk);
      for (const frame of this.#decoder.push(chunk)) {
        this.#dispatch(frame);
        if (this.#closed !== undefined) return;
      }
    } catch (cause) {
      this.#end(`protocol violated: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
      this.#stream.destroy();
    }
  }

  #dispatch(frame: Frame): void {
    if (!this.#greeted) return this.#greet(frame);
    if (frame.type !== messageType.OK && frame.type !== messageType.ERROR) return this.#options.onFrame?.(frame);
    const pending = this.#pending.get(frame.requestId);
    if (pending === undefined) return;
    const payload = parseControl(frame);
    if (frame.type === messageType.OK) pending.resolve(payload);
    else pending.reject(new NativeFailure(readNativeError(payload)));
  }

  #greet(frame: Frame): void {
    const hello = frame.type === messageType.HELLO ? parseControl(frame) : {};
    if (hello['version'] !== protocolVersion) {
      throw new BerthError('SHIM_PROTOCOL', `${this.#options.peer} does not speak version ${protocolVersion}`);
    }
    this.#greeted = true;
  }

  #end(reason: string, cause?: unknown): void {
    if (this.#closed !== undefined) return;
    this.#closed = new BerthError('SHIM_UNAVAILABLE', `${this.#options.peer}: ${reason}`, { cause });
    for (const pending of [...this.#pending.values()]) pending.reject(this.#closed);
    this.#options.onClose?.(this.#closed);
  }
}
