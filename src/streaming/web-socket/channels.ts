import { Duplex } from 'node:stream';
import type { RawData, WebSocket } from 'ws';
import { usedUp } from '../../shim/received-memory.ts';

/** How a message says which channel it is of: one byte in front, or one digit in front of base64. */
export type ChannelCodec = 'binary' | 'base64';

/** What waits in the socket's queue before a channel's writer has to wait, in bytes. */
const maxQueued = 256 << 10;

/** In version 5: the first byte of a message that closes the channel which its second names. */
const closeSignal = 255;

export interface ChannelOptions {
  readonly codec: ChannelCodec;
  readonly channels: number;
  /** Whether the client can close a channel without closing the connection. */
  readonly closeSignals: boolean;
}

/**
 * Kubernetes' channels on one WebSocket: each message belongs to one. All share the connection's order and
 * pace: a channel that is not read holds up the others.
 */
export class WebSocketChannels {
  readonly #socket: WebSocket;
  readonly #options: ChannelOptions;
  readonly #channels: readonly Channel[];
  readonly #closed = Promise.withResolvers<void>();
  #ending = false;

  constructor(socket: WebSocket, options: ChannelOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#channels = Array.from({ length: options.channels }, (_, number) => new Channel({
      send: (bytes, done) => this.#send(number, bytes, done),
      flow: () => this.#flow(),
    }));
    socket.on('message', (data: RawData) => this.#receive(data as Buffer));
    socket.on('error', () => socket.terminate());
    socket.on('close', () => this.#close());
  }

  /** Resolves when the connection has ended; the channels are destroyed then. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  channel(number: number): Duplex {
    const channel = this.#channels[number];
    if (channel === undefined) throw new RangeError(`there are ${this.#channels.length} channels`);
    return channel;
  }

  /** Says that a channel is there: an empty message. */
  announce(number: number): void {
    this.#send(number, Buffer.alloc(0), () => undefined);
  }

  /** Closes the connection in order, after all that has been written. What the client still sends is of no more use. */
  end(): void {
    // Its closing frame is behind all that.
    this.#ending = true;
    this.#flow();
    // The callback comes when everything before it is in the kernel's hands; the time limit of close() begins only then.
    this.#socket.ping(undefined, undefined, () => this.#socket.close(1000));
  }

  #send(number: number, bytes: Buffer, done: (error?: Error | null) => void): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return done(new Error('the WebSocket is closed'));
    const message = this.#options.codec === 'base64' ? `${number}${bytes.toString('base64')}` : withChannel(number, bytes);
    const waits = this.#socket.bufferedAmount > maxQueued;
    this.#socket.send(message, { binary: this.#options.codec === 'binary' }, (error) => {
      if (waits) done(error);
    });
    if (!waits) done();
  }

  #receive(message: Buffer): void {
    const [first] = message;
    if (first === undefined || this.#ending) return;
    if (this.#options.closeSignals && first === closeSignal) return this.#closeChannel(message[1]);
    const number = this.#options.codec === 'base64' ? first - 0x30 : first;
    const payload = this.#options.codec === 'base64' ? Buffer.from(message.toString('latin1', 1), 'base64') : message.subarray(1);
    this.#channels[number]?.deliver(payload);
  }

  #closeChannel(number: number | undefined): void {
    if (number !== undefined) this.#channels[number]?.finish();
  }

  #flow(): void {
    if (!this.#ending && this.#channels.some((channel) => channel.stalled)) this.#socket.pause();
    else if (this.#socket.isPaused) this.#socket.resume();
  }

  #close(): void {
    for (const channel of this.#channels) channel.destroy();
    this.#closed.resolve();
  }
}

function withChannel(number: number, bytes: Buffer): Buffer {
  const message = Buffer.allocUnsafe(1 + bytes.length);
  message[0] = number;
  bytes.copy(message, 1);
  usedUp(bytes);
  return message;
}

interface ChannelOwner {
  send(bytes: Buffer, done: (error?: Error | null) => void): void;
  flow(): void;
}

/** `stalled` from when its buffer is full until somebody reads. */
class Channel extends Duplex {
  stalled = false;
  readonly #owner: ChannelOwner;
  #finished = false;

  constructor(owner: ChannelOwner) {
    super({ allowHalfOpen: true });
    this.#owner = owner;
    this.on('error', () => undefined);
  }

  deliver(bytes: Buffer): void {
    if (this.#finished || this.destroyed || bytes.length === 0 || this.push(bytes)) return;
    this.stalled = true;
    this.#owner.flow();
  }

  finish(): void {
    if (this.#finished || this.destroyed) return;
    this.#finished = true;
    this.push(null);
    // Nobody asks a stream for more once it has ended, and nothing more comes for this one.
    this.#release();
  }

  override _read(): void {
    this.#release();
  }

  override _write(bytes: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#owner.send(bytes, done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#release();
    done(error);
  }

  #release(): void {
    if (!this.stalled) return;
    this.stalled = false;
    this.#owner.flow();
  }
}
