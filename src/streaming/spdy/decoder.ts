import { usedUp } from '../../shim/received-memory.ts';
import { SpdyError } from './error.ts';
import { checkVersion, decodeControl, flagFin, frameHeaderBytes } from './frames.ts';
import type { ControlFrame } from './frames.ts';
import { HeaderDecoder } from './headers.ts';

export interface FrameSink {
  control(frame: ControlFrame): void;
  /** A part of a data frame, as it came from the socket. `fin` with the last part of the stream's last frame. */
  data(streamId: number, bytes: Buffer, fin: boolean): void;
}

/** Of a control frame. The longest that anybody sends us has three headers. */
const maxControlBytes = 16 << 10;

const nothing = Buffer.alloc(0);

/** The length of a control frame whose header is there. */
function wholeFrame(header: Buffer): number {
  return frameHeaderBytes + (header.readUInt32BE(4) & 0xff_ffff);
}

/**
 * Cuts a session's bytes into frames. Data is handed on as it comes, without waiting for the whole frame and
 * without copying it; only control frames and split headers are collected.
 */
export class FrameDecoder {
  readonly #sink: FrameSink;
  readonly #headers = new HeaderDecoder();
  /** Of a header or a control frame that is not whole yet. */
  #kept: Buffer = nothing;
  #dataStream = 0;
  #dataFin = false;
  #dataLeft = 0;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** Throws SpdyError; the session cannot go on after that. */
  push(chunk: Buffer): void {
    // Counted apart: with its last byte used up, the chunk has no length any more.
    const length = chunk.length;
    for (let at = 0; at < length; ) {
      const rest = chunk.subarray(at);
      if (this.#dataLeft > 0) at += this.#takeData(rest);
      else if (this.#kept.length > 0) at += this.#complete(rest);
      else {
        const used = this.#takeFrame(rest);
        // A copy: a view would keep the socket's whole chunk in memory.
        if (used === 0) this.#kept = Buffer.from(rest);
        const taken = used === 0 ? rest : rest.subarray(0, used);
        at += taken.length;
        usedUp(taken);
      }
    }
  }

  /** Adds to what is kept just what its header or frame lacks. The number of bytes used. */
  #complete(bytes: Buffer): number {
    const wanted = this.#kept.length < frameHeaderBytes ? frameHeaderBytes : wholeFrame(this.#kept);
    const taken = bytes.subarray(0, wanted - this.#kept.length);
    const { length } = taken;
    const kept = Buffer.concat([this.#kept, taken]);
    this.#kept = this.#takeFrame(kept) === 0 ? kept : nothing;
    usedUp(taken);
    return length;
  }

  #takeData(bytes: Buffer): number {
    const part = bytes.length > this.#dataLeft ? bytes.subarray(0, this.#dataLeft) : bytes;
    const { length } = part;
    this.#dataLeft -= length;
    this.#sink.data(this.#dataStream, part, this.#dataFin && this.#dataLeft === 0);
    return length;
  }

  /** The number of bytes used; 0 when more are needed. */
  #takeFrame(bytes: Buffer): number {
    if (bytes.length < frameHeaderBytes) return 0;
    const first = bytes.readUInt32BE(0);
    const flags = bytes.readUInt8(4);
    const length = bytes.readUInt32BE(4) & 0xff_ffff;
    if (first < 0x8000_0000) {
      this.#beginData(first, length, (flags & flagFin) !== 0);
      return frameHeaderBytes;
    }
    checkVersion((first >>> 16) & 0x7fff);
    if (length > maxControlBytes) throw new SpdyError(`a control frame of ${length} bytes`);
    if (bytes.length < frameHeaderBytes + length) return 0;
    const frame = decodeControl(first & 0xffff, flags, bytes.subarray(frameHeaderBytes, frameHeaderBytes + length), this.#headers);
    if (frame !== undefined) this.#sink.control(frame);
    return frameHeaderBytes + length;
  }

  #beginData(streamId: number, length: number, fin: boolean): void {
    if (streamId === 0) throw new SpdyError('data on stream 0');
    this.#dataStream = streamId;
    this.#dataFin = fin;
    this.#dataLeft = length;
    if (length === 0) this.#sink.data(streamId, nothing, fin);
  }
}
