/** Header blocks: name and value pairs, compressed by one zlib stream for each direction of a session. */
import { constants, inflateRawSync } from 'node:zlib';
import { headerDictionary, headerDictionaryId } from './dictionary.ts';
import { SpdyError } from './error.ts';

export type SpdyHeaders = ReadonlyMap<string, string>;

/** Of a block, decompressed, in bytes. What we are sent is a hundredth of it. */
const maxBlockBytes = 16 << 10;
const maxHeaders = 64;
/** How far back deflate refers (RFC 1951). */
const windowBytes = 32 << 10;
const maxStoredBytes = 0xffff;

/** CMF (deflate, 32 KiB window) and FLG (a dictionary is named), then its checksum (RFC 1950). */
const zlibHeader = Buffer.from([0x78, 0xbb, 0, 0, 0, 0]);
zlibHeader.writeUInt32BE(headerDictionaryId, 2);

/** An empty stored block: what Z_SYNC_FLUSH leaves at the end, and what makes Go's inflater hand out all before it. */
const syncFlush = Buffer.from([0, 0, 0, 0xff, 0xff]);

/**
 * Writes blocks without compressing them: deflate has a form for stored bytes, which needs no state.
 * What we send is a handful of bytes, and nothing that an attacker could guess from its length.
 */
export class HeaderEncoder {
  #begun = false;

  encode(headers: SpdyHeaders): Buffer {
    const block = serialize(headers);
    const parts: Buffer[] = this.#begun ? [] : [zlibHeader];
    this.#begun = true;
    for (let at = 0; at < block.length; at += maxStoredBytes) {
      const stored = block.subarray(at, at + maxStoredBytes);
      const head = Buffer.alloc(5);
      head.writeUInt16LE(stored.length, 1);
      head.writeUInt16LE(~stored.length & 0xffff, 3);
      parts.push(head, stored);
    }
    return Buffer.concat([...parts, syncFlush]);
  }
}

/**
 * Reads blocks. zlib's streams are asynchronous in Node.js, and a frame must be read before the next: each
 * block is therefore inflated by itself, with what came before it as its dictionary. That takes blocks
 * which end on a byte's boundary, as zlib's Z_SYNC_FLUSH makes them.
 */
export class HeaderDecoder {
  #window: Buffer = headerDictionary;
  #begun = false;

  /** Throws SpdyError. */
  decode(compressed: Buffer): SpdyHeaders {
    const body = this.#begun ? compressed : this.#takeZlibHeader(compressed);
    let block: Buffer;
    try {
      block = inflateRawSync(body, { dictionary: this.#window, finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: maxBlockBytes });
    } catch (cause) {
      throw new SpdyError(`headers cannot be inflated: ${cause instanceof Error ? cause.message : String(cause)}`);
    }
    this.#window = Buffer.concat([this.#window, block]).subarray(-windowBytes);
    return parse(block);
  }

  #takeZlibHeader(compressed: Buffer): Buffer {
    this.#begun = true;
    if (compressed.length < 2) throw new SpdyError('headers without a zlib header');
    const head = compressed.readUInt16BE(0);
    if ((head & 0x0f00) !== 0x0800 || head % 31 !== 0) throw new SpdyError('headers are not zlib');
    if ((head & 0x20) === 0) {
      this.#window = Buffer.alloc(0);
      return compressed.subarray(2);
    }
    if (compressed.length < 6 || compressed.readUInt32BE(2) !== headerDictionaryId) throw new SpdyError('headers with a foreign dictionary');
    return compressed.subarray(6);
  }
}

function serialize(headers: SpdyHeaders): Buffer {
  const parts: Buffer[] = [count(headers.size)];
  for (const [name, value] of headers) {
    for (const text of [name, value]) {
      const bytes = Buffer.from(text, 'utf8');
      parts.push(count(bytes.length), bytes);
    }
  }
  return Buffer.concat(parts);
}

function count(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function parse(block: Buffer): SpdyHeaders {
  let at = 0;
  const number = (): number => {
    if (at + 4 > block.length) throw new SpdyError('headers end early');
    at += 4;
    return block.readUInt32BE(at - 4);
  };
  const text = (): string => {
    const length = number();
    if (at + length > block.length) throw new SpdyError('headers end early');
    at += length;
    return block.toString('utf8', at - length, at);
  };
  const pairs = number();
  if (pairs > maxHeaders) throw new SpdyError(`${pairs} headers`);
  const headers = new Map<string, string>();
  for (let index = 0; index < pairs; index++) {
    const name = text().toLowerCase();
    if (name === '' || headers.has(name)) throw new SpdyError('a header without a name, or twice');
    headers.set(name, text());
  }
  if (at !== block.length) throw new SpdyError('headers with something behind them');
  return headers;
}
