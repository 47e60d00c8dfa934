/**
 * SPDY/3.1's frames (draft 3.1, section 2): 8 bytes of header, then a payload of up to 2^24 - 1 bytes.
 *
 *   control  |1| version (15) | type (16) | flags (8) | length (24) |
 *   data     |0| stream id (31)           | flags (8) | length (24) |
 */
import { SpdyError } from './error.ts';
import type { SpdyHeaders } from './headers.ts';

export const frameType = {
  SYN_STREAM: 1,
  SYN_REPLY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PING: 6,
  GOAWAY: 7,
  HEADERS: 8,
  WINDOW_UPDATE: 9,
} as const;

export const resetStatus = {
  PROTOCOL_ERROR: 1,
  INVALID_STREAM: 2,
  REFUSED_STREAM: 3,
  CANCEL: 5,
  INTERNAL_ERROR: 6,
  FLOW_CONTROL_ERROR: 7,
} as const;

export const goAwayStatus = { OK: 0, PROTOCOL_ERROR: 1, INTERNAL_ERROR: 2 } as const;

export const setting = { MAX_CONCURRENT_STREAMS: 4, INITIAL_WINDOW_SIZE: 7 } as const;

/** Before SETTINGS says otherwise, of each stream and of the session. */
export const defaultWindow = 64 << 10;
/** Windows do not grow beyond. */
export const maxWindow = 2 ** 31 - 1;

export const frameHeaderBytes = 8;
/** Flag of SYN_STREAM, SYN_REPLY, HEADERS and data: the sender's last on this stream. */
export const flagFin = 1;

const version = 3;
const streamIdMask = 0x7fff_ffff;

export type ControlFrame =
  | { readonly type: 'SYN_STREAM' | 'SYN_REPLY' | 'HEADERS'; readonly streamId: number; readonly fin: boolean; readonly headers: SpdyHeaders }
  | { readonly type: 'RST_STREAM'; readonly streamId: number; readonly status: number }
  | { readonly type: 'SETTINGS'; readonly values: ReadonlyMap<number, number> }
  | { readonly type: 'PING'; readonly id: number }
  | { readonly type: 'GOAWAY'; readonly lastStreamId: number; readonly status: number }
  | { readonly type: 'WINDOW_UPDATE'; readonly streamId: number; readonly delta: number };

export function dataHeader(streamId: number, length: number, fin: boolean): Buffer {
  const header = Buffer.allocUnsafe(frameHeaderBytes);
  header.writeUInt32BE(streamId, 0);
  header.writeUInt32BE(((fin ? flagFin : 0) << 24) | length, 4);
  return header;
}

function control(type: number, flags: number, ...payload: readonly (number | Buffer)[]): Buffer {
  const parts = payload.map((part) => (typeof part === 'number' ? word(part) : part));
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([word(0x8000_0000 + version * 0x1_0000 + type), word(flags * 0x100_0000 + length), ...parts]);
}

function word(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** `block` is the compressed header block. Priority and slot are 0. */
export const encodeSynStream = (streamId: number, block: Buffer, fin = false): Buffer =>
  control(frameType.SYN_STREAM, fin ? flagFin : 0, streamId, 0, Buffer.alloc(2), block);
export const encodeSynReply = (streamId: number, block: Buffer): Buffer => control(frameType.SYN_REPLY, 0, streamId, block);
export const encodeReset = (streamId: number, status: number): Buffer => control(frameType.RST_STREAM, 0, streamId, status);
export const encodePing = (id: number): Buffer => control(frameType.PING, 0, id);
export const encodeGoAway = (lastStreamId: number, status: number): Buffer => control(frameType.GOAWAY, 0, lastStreamId, status);
export const encodeWindowUpdate = (streamId: number, delta: number): Buffer => control(frameType.WINDOW_UPDATE, 0, streamId, delta);
export const encodeSettings = (values: ReadonlyMap<number, number>): Buffer =>
  control(frameType.SETTINGS, 0, values.size, ...[...values].flatMap(([id, value]) => [id, value]));

interface Inflater {
  decode(block: Buffer): SpdyHeaders;
}

/** One control frame from its payload; undefined for a type to be ignored. Throws SpdyError on what cannot be valid. */
export function decodeControl(type: number, flags: number, payload: Buffer, headers: Inflater): ControlFrame | undefined {
  const at = (offset: number): number => {
    if (offset + 4 > payload.length) throw new SpdyError(`a frame of type ${type} is too short`);
    return payload.readUInt32BE(offset);
  };
  const streamId = (offset: number): number => at(offset) & streamIdMask;
  const fin = (flags & flagFin) !== 0;
  switch (type) {
    case frameType.SYN_STREAM:
      if (payload.length < 10) throw new SpdyError('SYN_STREAM is too short');
      return { type: 'SYN_STREAM', streamId: streamId(0), fin, headers: headers.decode(payload.subarray(10)) };
    case frameType.SYN_REPLY:
      return { type: 'SYN_REPLY', streamId: streamId(0), fin, headers: headers.decode(payload.subarray(4)) };
    case frameType.HEADERS:
      return { type: 'HEADERS', streamId: streamId(0), fin, headers: headers.decode(payload.subarray(4)) };
    case frameType.RST_STREAM:
      return { type: 'RST_STREAM', streamId: streamId(0), status: at(4) };
    case frameType.SETTINGS:
      return { type: 'SETTINGS', values: decodeSettings(payload) };
    case frameType.PING:
      return { type: 'PING', id: at(0) };
    case frameType.GOAWAY:
      return { type: 'GOAWAY', lastStreamId: streamId(0), status: at(4) };
    case frameType.WINDOW_UPDATE:
      return { type: 'WINDOW_UPDATE', streamId: streamId(0), delta: streamId(4) };
    default:
      return undefined;
  }
}

function decodeSettings(payload: Buffer): Map<number, number> {
  const values = new Map<number, number>();
  const entries = payload.length < 4 ? -1 : payload.readUInt32BE(0);
  if (payload.length !== 4 + entries * 8) throw new SpdyError('SETTINGS of a wrong length');
  for (let offset = 4; offset < payload.length; offset += 8) {
    values.set(payload.readUInt32BE(offset) & 0xff_ffff, payload.readUInt32BE(offset + 4));
  }
  return values;
}

export function checkVersion(found: number): void {
  if (found !== version) throw new SpdyError(`SPDY version ${found}`);
}
