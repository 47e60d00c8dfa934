/**
 * The frames and the message catalogue of the launcher and shim protocol (docs/shim-protocol.md).
 * The C side is native/common/protocol.h; both are tested against native/tests/fixtures/protocol.json.
 */
import { BerthError } from '../errors/catalogue.ts';
import { received, usedUp } from './received-memory.ts';

export const protocolVersion = 1;

export const messageType = {
  HELLO: 1,
  OK: 2,
  ERROR: 3,
  EVENT: 4,
  SANDBOX_CREATE: 16,
  SANDBOX_DELETE: 17,
  CONTAINER_CREATE: 18,
  FORWARD: 19,
  HOLD: 20,
  PROBE: 21,
  SUBSCRIBE: 32,
  START: 33,
  KILL: 34,
  REOPEN_LOG: 35,
  EXEC: 36,
  ATTACH: 37,
  RESIZE: 38,
  STDOUT: 48,
  STDERR: 49,
  STDIN: 50,
  EXIT: 51,
} as const;

export type MessageType = (typeof messageType)[keyof typeof messageType];

const headerBytes = 9;
/** Largest payload of a frame, in bytes. */
export const maxPayloadBytes = 1 << 20;
/** Of a data frame. */
export const maxDataBytes = 64 << 10;

const knownTypes: ReadonlySet<number> = new Set(Object.values(messageType));

const dataTypes: ReadonlySet<number> = new Set([messageType.STDOUT, messageType.STDERR, messageType.STDIN]);

function limitOf(type: number): number {
  return dataTypes.has(type) ? maxDataBytes : maxPayloadBytes;
}

export interface Frame {
  readonly type: MessageType;
  readonly requestId: number;
  readonly payload: Buffer;
}

/** One frame as bytes. An object becomes JSON. Throws SHIM_PROTOCOL when the payload is too large. */
export function encodeFrame(type: MessageType, requestId: number, payload: object): Buffer {
  const body = Buffer.isBuffer(payload) ? payload : Buffer.from(JSON.stringify(payload));
  if (body.length > limitOf(type)) {
    throw new BerthError('SHIM_PROTOCOL', `a message of ${body.length} bytes is over the limit of ${limitOf(type)}`);
  }
  return Buffer.concat([encodeHeader(type, requestId, body.length), body]);
}

/** What stands in front of a payload of this many bytes. */
export function encodeHeader(type: MessageType, requestId: number, length: number): Buffer {
  const header = Buffer.allocUnsafe(headerBytes);
  header.writeUInt32BE(length, 0);
  header.writeUInt32BE(requestId, 4);
  header.writeUInt8(type, 8);
  return header;
}

/** A part of a data frame that is worth handing out before the rest is there. */
const minPartBytes = 4096;

/** Cuts a byte stream into frames. A long data frame may come in parts, as several. Throws SHIM_PROTOCOL on a frame that cannot be valid. */
export class FrameDecoder {
  #chunks: Buffer[] = [];
  #buffered = 0;
  #begun: { readonly type: MessageType; readonly requestId: number; readonly left: number } | undefined;

  *push(chunk: Buffer): Generator<Frame> {
    this.#chunks.push(chunk);
    this.#buffered += chunk.length;
    const rest = chunk.length > 0 ? this.#continue() : undefined;
    if (rest !== undefined) yield rest;
    while (this.#begun === undefined && this.#buffered >= headerBytes) {
      const head = this.#peek(headerBytes);
      const length = head.readUInt32BE(0);
      const type = head.readUInt8(8);
      if (!isMessageType(type)) throw new BerthError('SHIM_PROTOCOL', `unknown message type ${type}`);
      if (length > limitOf(type)) throw new BerthError('SHIM_PROTOCOL', `a frame of type ${type} claims ${length} bytes`);
      const requestId = head.readUInt32BE(4);
      if (this.#buffered < headerBytes + length) {
        if (!dataTypes.has(type) || this.#buffered < minPartBytes) return;
        // Data need not be whole: the rest of the frame comes as another.
        usedUp(this.#take(headerBytes));
        const part = this.#take(this.#buffered);
        this.#begun = { type, requestId, left: length - part.length };
        yield { type, requestId, payload: part };
        return;
      }
      usedUp(this.#take(headerBytes));
      yield { type, requestId, payload: this.#take(length) };
    }
  }

  /** The rest of a data frame of which a part has been handed out. */
  #continue(): Frame | undefined {
    const begun = this.#begun;
    if (begun === undefined) return undefined;
    const payload = this.#take(Math.min(begun.left, this.#buffered));
    this.#begun = begun.left > payload.length ? { ...begun, left: begun.left - payload.length } : undefined;
    return { type: begun.type, requestId: begun.requestId, payload };
  }

  #peek(count: number): Buffer {
    const first = this.#chunks[0];
    if (first !== undefined && first.length >= count) return first;
    const whole = Buffer.concat(this.#chunks);
    for (const chunk of this.#chunks) usedUp(chunk);
    received(whole);
    this.#chunks = [whole];
    return whole;
  }

  #take(count: number): Buffer {
    const source = this.#peek(count);
    const rest = source.subarray(count);
    this.#chunks.shift();
    if (rest.length > 0) this.#chunks.unshift(rest);
    this.#buffered -= count;
    return source.subarray(0, count);
  }
}

function isMessageType(value: number): value is MessageType {
  return knownTypes.has(value);
}

/** The payload of a control frame. Throws SHIM_PROTOCOL when it is not one JSON object. */
export function parseControl(frame: Frame): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(frame.payload.toString('utf8'));
  } catch (cause) {
    throw new BerthError('SHIM_PROTOCOL', `message of type ${frame.type} is not JSON`, { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new BerthError('SHIM_PROTOCOL', `message of type ${frame.type} is not a JSON object`);
  }
  return value as Record<string, unknown>;
}
