import { Duplex } from 'node:stream';
import { StreamReset } from './error.ts';
import { defaultWindow, maxWindow, resetStatus } from './frames.ts';
import type { SpdyHeaders } from './headers.ts';

/** What a stream needs of its session. */
export interface StreamOwner {
  readonly peerInitialWindow: number;
  /** Bytes that may be sent now on this stream; with a peer that keeps no windows, as many as one likes. */
  allowance(stream: SpdyStream): number;
  sendData(stream: SpdyStream, bytes: Buffer, fin: boolean): void;
  sendReply(stream: SpdyStream): void;
  sendReset(stream: SpdyStream, status: number): void;
  /** Calls back when the connection takes more. */
  whenWritable(callback: () => void): void;
  /** Received bytes have left the session's memory. */
  consumed(stream: SpdyStream | undefined, bytes: number): void;
  forget(stream: SpdyStream): void;
}

type Done = (error?: Error | null) => void;

/**
 * One stream that the peer has opened. It is to be replied to, or destroyed, which resets it. `end()` is its
 * FIN, 'end' the peer's; a reset by the peer is an error `StreamReset`.
 */
export class SpdyStream extends Duplex {
  readonly id: number;
  readonly headers: SpdyHeaders;
  /** Of what this side sent; what the peer has allowed beyond is the session's to tell. */
  sent = 0;
  /** What the peer's WINDOW_UPDATEs have added. */
  granted = 0;
  /** Received and consumed, and not yet told to the peer. */
  unacknowledged = 0;
  readonly #owner: StreamOwner;
  readonly #arrived: Buffer[] = [];
  #arrivedBytes = 0;
  #wanted = false;
  #endTold = false;
  #peerDone = false;
  #selfDone = false;
  #gone = false;
  #resume: (() => void) | undefined;

  constructor(id: number, headers: SpdyHeaders, owner: StreamOwner) {
    super({ allowHalfOpen: true, readableHighWaterMark: defaultWindow, writableHighWaterMark: defaultWindow });
    this.id = id;
    this.headers = headers;
    this.#owner = owner;
  }

  /** Accepts the stream. */
  reply(): void {
    this.#owner.sendReply(this);
  }

  /** Ends the stream both ways at once; without an error, unlike `destroy(error)`. */
  reset(status: number = resetStatus.CANCEL): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#owner.sendReset(this, status);
    this.destroy();
  }

  /** For the session: bytes from the peer. */
  receive(bytes: Buffer, fin: boolean): void {
    if (this.destroyed || this.#peerDone) this.#owner.consumed(this, bytes.length);
    else if (bytes.length > 0) {
      this.#arrived.push(bytes);
      this.#arrivedBytes += bytes.length;
    }
    if (fin) this.#peerDone = true;
    this.#deliver();
  }

  /** For the session: the peer has reset the stream, or the connection has ended. */
  abandon(error: Error): void {
    this.#gone = true;
    this.destroy(error);
  }

  /** For the session: the window may have opened. Returns false where it has grown beyond what the protocol allows. */
  grant(bytes: number): boolean {
    this.granted += bytes;
    if (this.#owner.peerInitialWindow + this.granted - this.sent > maxWindow) return false;
    this.continue();
    return true;
  }

  /** For the session: tries again to send what waits. */
  continue(): void {
    const resume = this.#resume;
    this.#resume = undefined;
    resume?.();
  }

  override _read(): void {
    this.#wanted = true;
    this.#deliver();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#send(chunk, done);
  }

  override _final(done: Done): void {
    this.#selfDone = true;
    if (!this.#gone) this.#owner.sendData(this, Buffer.alloc(0), true);
    done();
  }

  override _destroy(error: Error | null, done: Done): void {
    if (!this.#gone && !(this.#peerDone && this.#selfDone)) {
      this.#owner.sendReset(this, error === null ? resetStatus.CANCEL : resetStatus.INTERNAL_ERROR);
    }
    this.#gone = true;
    this.#owner.consumed(this, this.#arrivedBytes);
    this.#arrived.length = 0;
    this.#arrivedBytes = 0;
    this.#owner.forget(this);
    done(error);
    this.continue();
  }

  #send(chunk: Buffer, done: Done): void {
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#gone) return done(new StreamReset('the stream is closed', resetStatus.CANCEL));
      const allowed = this.#owner.allowance(this);
      if (allowed <= 0) {
        const left = rest;
        this.#resume = () => this.#send(left, done);
        return;
      }
      const part = rest.length > allowed ? rest.subarray(0, allowed) : rest;
      rest = rest.subarray(part.length);
      this.sent += part.length;
      this.#owner.sendData(this, part, false);
    }
    this.#owner.whenWritable(done);
  }

  #deliver(): void {
    while (this.#wanted) {
      const bytes = this.#arrived.shift();
      if (bytes === undefined) break;
      // Before it is handed on: whoever uses it up may give its memory back.
      const { length } = bytes;
      this.#arrivedBytes -= length;
      this.#wanted = this.push(bytes);
      this.#owner.consumed(this, length);
    }
    if (this.#peerDone && this.#arrived.length === 0 && !this.#endTold) {
      this.#endTold = true;
      this.push(null);
    }
  }
}
