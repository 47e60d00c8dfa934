import type { Duplex } from 'node:stream';
import { received, usedUp } from '../../shim/received-memory.ts';
import { FrameDecoder } from './decoder.ts';
import { SpdyError, StreamReset } from './error.ts';
import {
  dataHeader, defaultWindow, encodeGoAway, encodePing, encodeReset, encodeSettings, encodeSynReply, encodeWindowUpdate,
  goAwayStatus, maxWindow, resetStatus, setting,
} from './frames.ts';
import type { ControlFrame } from './frames.ts';
import { HeaderEncoder } from './headers.ts';
import type { SpdyHeaders } from './headers.ts';
import { SpdyStream } from './stream.ts';
import type { StreamOwner } from './stream.ts';

export interface SessionOptions {
  /** A stream that the peer has opened: reply to it or destroy it. */
  onStream(stream: SpdyStream): void;
  /** Of streams open at once; further ones are refused. */
  readonly maxStreams: number;
}

/** Of each stream that a peer which keeps windows may send before we have consumed it. */
const streamWindow = 256 << 10;
/** Of the whole session; with a peer that keeps no windows it is where we stop reading the connection. */
const sessionWindow = 2 << 20;
/** Replies to control frames that the peer does not read; beyond, it only wants our memory. */
const maxUnreadReplies = 1 << 20;
const maxPingId = 0x7fff_fffe;

/**
 * The server's side of one SPDY/3.1 session.
 *
 * Windows: Kubernetes' own clients take no part in flow control. They never send WINDOW_UPDATE, send
 * without regard to ours, and ignore those they get. So the peer's windows bind us only once it has spoken of
 * windows, by SETTINGS or WINDOW_UPDATE; until then the connection's own back-pressure is all there is. Our
 * windows are always announced and renewed, and when a peer ignores them, the connection is not read while
 * more than a session's window waits in memory.
 */
export class SpdySession implements StreamOwner {
  readonly #transport: Duplex;
  readonly #options: SessionOptions;
  readonly #streams = new Map<number, SpdyStream>();
  readonly #encoder = new HeaderEncoder();
  readonly #closed = Promise.withResolvers<void>();
  readonly #waiting: (() => void)[] = [];
  #lastStreamId = 0;
  #keepsWindows = false;
  peerInitialWindow = defaultWindow;
  #sent = 0;
  #granted = defaultWindow;
  #unacknowledged = 0;
  #buffered = 0;
  #unreadReplies = 0;
  #pingId = 0;
  #goneAway = false;
  #ending = false;
  #over = false;

  constructor(transport: Duplex, options: SessionOptions) {
    this.#transport = transport;
    this.#options = options;
    const decoder = new FrameDecoder({
      control: (frame) => this.#control(frame),
      data: (streamId, bytes, fin) => this.#data(streamId, bytes, fin),
    });
    transport.on('data', (chunk: Buffer) => this.#receive(decoder, chunk));
    transport.on('drain', () => this.#drained());
    transport.on('error', (error: Error) => this.#finish(error));
    transport.on('end', () => this.#finish(new SpdyError('the client has closed the connection')));
    transport.on('close', () => this.#finish(new SpdyError('the connection is closed')));
    this.#write(encodeSettings(new Map([[setting.MAX_CONCURRENT_STREAMS, options.maxStreams], [setting.INITIAL_WINDOW_SIZE, streamWindow]])));
    this.#write(encodeWindowUpdate(0, sessionWindow - defaultWindow));
  }

  /** Resolves when the connection has ended for whatever reason; its streams are destroyed then. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** Says goodbye and ends this side of the connection, after all that is written. */
  end(): void {
    if (this.#ending || this.#over) return;
    // Those that we have ended are not: what the client has still to read of them must not be swept away.
    for (const stream of [...this.#streams.values()]) if (!stream.writableFinished) stream.reset();
    this.#write(encodeGoAway(this.#lastStreamId, goAwayStatus.OK));
    this.#ending = true;
    this.#transport.end();
    this.#transport.resume();
  }

  /** Asks for a sign of life, which nobody waits for: it is for the machine at the other end to refuse. */
  ping(): void {
    this.#pingId = this.#pingId >= maxPingId ? 2 : this.#pingId + 2;
    this.#write(encodePing(this.#pingId));
  }

  allowance(stream: SpdyStream): number {
    if (!this.#keepsWindows) return Number.POSITIVE_INFINITY;
    return Math.min(this.peerInitialWindow + stream.granted - stream.sent, this.#granted - this.#sent);
  }

  sendData(stream: SpdyStream, bytes: Buffer, fin: boolean): void {
    if (this.#over || this.#ending) return;
    this.#sent += bytes.length;
    this.#transport.cork();
    this.#transport.write(dataHeader(stream.id, bytes.length, fin));
    if (bytes.length > 0) this.#transport.write(bytes, () => usedUp(bytes));
    this.#transport.uncork();
  }

  sendReply(stream: SpdyStream): void {
    this.#write(encodeSynReply(stream.id, this.#encoder.encode(new Map())));
  }

  sendReset(stream: SpdyStream, status: number): void {
    this.#write(encodeReset(stream.id, status));
  }

  whenWritable(callback: () => void): void {
    if (this.#over || !this.#transport.writableNeedDrain) callback();
    else this.#waiting.push(callback);
  }

  consumed(stream: SpdyStream | undefined, bytes: number): void {
    this.#buffered -= bytes;
    if (this.#over || bytes === 0) return;
    this.#unacknowledged += bytes;
    if (stream !== undefined) this.#acknowledge(stream, bytes);
    if (this.#unacknowledged >= sessionWindow / 2) {
      this.#write(encodeWindowUpdate(0, this.#unacknowledged));
      this.#unacknowledged = 0;
    }
    if (this.#buffered < sessionWindow / 2 && this.#transport.isPaused()) this.#transport.resume();
  }

  #acknowledge(stream: SpdyStream, bytes: number): void {
    stream.unacknowledged += bytes;
    if (stream.unacknowledged < streamWindow / 2 || stream.destroyed) return;
    this.#write(encodeWindowUpdate(stream.id, stream.unacknowledged));
    stream.unacknowledged = 0;
  }

  forget(stream: SpdyStream): void {
    this.#streams.delete(stream.id);
  }

  #receive(decoder: FrameDecoder, chunk: Buffer): void {
    // What comes after our goodbye is read all the same: unread bytes would make the kernel reset the connection.
    if (this.#over || this.#ending) return;
    try {
      received(chunk);
      decoder.push(chunk);
    } catch (cause) {
      const error = cause instanceof Error ? cause : new SpdyError(String(cause));
      this.#fail(error, cause instanceof SpdyError ? goAwayStatus.PROTOCOL_ERROR : goAwayStatus.INTERNAL_ERROR);
    }
  }

  #control(frame: ControlFrame): void {
    switch (frame.type) {
      case 'SYN_STREAM':
        return this.#open(frame.streamId, frame.headers, frame.fin);
      case 'SYN_REPLY':
        throw new SpdyError(`a reply to stream ${frame.streamId}, which is not ours`);
      case 'HEADERS':
        return frame.fin ? this.#data(frame.streamId, Buffer.alloc(0), true) : undefined;
      case 'RST_STREAM':
        return this.#streams.get(frame.streamId)?.abandon(new StreamReset('the client has reset the stream', frame.status));
      case 'SETTINGS':
        return this.#settings(frame.values);
      case 'PING':
        // Ours would have even ids.
        return frame.id % 2 === 1 ? this.#write(encodePing(frame.id)) : undefined;
      case 'GOAWAY':
        this.#goneAway = true;
        return;
      case 'WINDOW_UPDATE':
        return this.#grant(frame.streamId, frame.delta);
    }
  }

  #open(streamId: number, headers: SpdyHeaders, fin: boolean): void {
    if (streamId % 2 === 0 || streamId <= this.#lastStreamId) throw new SpdyError(`stream ${streamId} after ${this.#lastStreamId}`);
    this.#lastStreamId = streamId;
    if (this.#goneAway) return;
    if (this.#streams.size >= this.#options.maxStreams) return this.#write(encodeReset(streamId, resetStatus.REFUSED_STREAM));
    const stream = new SpdyStream(streamId, headers, this);
    // Whoever takes the stream hears of its errors; without this one, an error before that would end the process.
    stream.on('error', () => undefined);
    this.#streams.set(streamId, stream);
    if (fin) stream.receive(Buffer.alloc(0), true);
    this.#options.onStream(stream);
  }

  #data(streamId: number, bytes: Buffer, fin: boolean): void {
    this.#buffered += bytes.length;
    const stream = this.#streams.get(streamId);
    if (stream === undefined && streamId > this.#lastStreamId) throw new SpdyError(`data on stream ${streamId}, which was never opened`);
    // For a stream that is closed already it was under way.
    if (stream === undefined) this.consumed(undefined, bytes.length);
    else stream.receive(bytes, fin);
    if (this.#buffered > sessionWindow) this.#transport.pause();
  }

  #settings(values: ReadonlyMap<number, number>): void {
    const initial = values.get(setting.INITIAL_WINDOW_SIZE);
    if (initial === undefined) return;
    if (initial > maxWindow) throw new SpdyError(`an initial window of ${initial} bytes`);
    this.peerInitialWindow = initial;
    this.#keepsWindows = true;
    this.#continueAll();
  }

  #grant(streamId: number, delta: number): void {
    this.#keepsWindows = true;
    if (streamId === 0) {
      this.#granted += delta;
      if (this.#granted - this.#sent > maxWindow) throw new SpdyError('the session window is too large');
      return this.#continueAll();
    }
    const stream = this.#streams.get(streamId);
    if (stream !== undefined && (delta === 0 || !stream.grant(delta))) stream.reset(resetStatus.FLOW_CONTROL_ERROR);
  }

  #continueAll(): void {
    for (const stream of [...this.#streams.values()]) stream.continue();
  }

  #drained(): void {
    this.#unreadReplies = 0;
    for (const callback of this.#waiting.splice(0)) callback();
  }

  /** A control frame. */
  #write(frame: Buffer): void {
    if (this.#over || this.#ending) return;
    this.#unreadReplies = this.#transport.write(frame) ? 0 : this.#unreadReplies + frame.length;
    if (this.#unreadReplies > maxUnreadReplies) this.#fail(new SpdyError('the client asks and does not read'), goAwayStatus.PROTOCOL_ERROR);
  }

  #fail(error: Error, status: number): void {
    if (this.#over) return;
    this.#transport.end(encodeGoAway(this.#lastStreamId, status));
    this.#finish(error);
  }

  #finish(error: Error): void {
    if (this.#over) return;
    this.#over = true;
    for (const stream of [...this.#streams.values()]) stream.abandon(error);
    this.#drained();
    this.#transport.resume();
    this.#closed.resolve();
  }
}
