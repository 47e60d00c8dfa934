/**
 * Bytes in protobuf's wire format (https://protobuf.dev/programming-guides/encoding/), written once, in place,
 * into one buffer: nothing is allocated for a value, and the length of a nested message is filled in afterwards.
 */

/** What is kept between two messages; a longer one gives its memory back. */
const keptBytes = 1 << 20;

/** A short string is written by this loop faster than by a call into the engine. */
const shortString = 24;

export class WireOutput {
  #bytes: Buffer = Buffer.allocUnsafeSlow(4096);
  #at = 0;
  /** The halves of the 64-bit number being written. */
  #low = 0;
  #high = 0;

  /** A copy of what was written since the last call. */
  take(): Buffer {
    const written = Buffer.from(this.#bytes.subarray(0, this.#at));
    this.#at = 0;
    if (this.#bytes.length > keptBytes) this.#bytes = Buffer.allocUnsafeSlow(4096);
    return written;
  }

  /** Forgets what was written of a message that turned out to be impossible. */
  discard(): void {
    this.#at = 0;
  }

  /** An integer of 0 to 2^32 - 1. */
  varint(value: number): void {
    this.#reserve(5);
    let rest = value;
    for (; rest > 0x7f; rest >>>= 7) this.#bytes[this.#at++] = (rest & 0x7f) | 0x80;
    this.#bytes[this.#at++] = rest;
  }

  /** int32: a negative one is sign-extended to 64 bits. */
  int32(value: number): void {
    if (value >= 0) this.varint(value);
    else this.#varint64(value >>> 0, 0xffffffff);
  }

  /** A 64-bit integer, signed or not, in decimal digits. Throws RangeError when it is none. */
  decimal(digits: string): void {
    const negative = digits.charCodeAt(0) === 45;
    this.#parse(digits, negative ? 1 : 0);
    if (negative) this.#negate();
    this.#varint64(this.#low, this.#high);
  }

  double(value: number): void {
    this.#reserve(8);
    this.#at = this.#bytes.writeDoubleLE(value, this.#at);
  }

  string(text: string): void {
    if (text.length <= shortString && this.#shortAscii(text)) return;
    const began = this.begin();
    this.#reserve(text.length * 3);
    this.#at += this.#bytes.write(text, this.#at, 'utf8');
    this.end(began);
  }

  bytes(value: Uint8Array): void {
    this.varint(value.length);
    this.#reserve(value.length);
    this.#bytes.set(value, this.#at);
    this.#at += value.length;
  }

  /** Begins something that has its length before it, in a byte that is reserved here. Give the result to `end`. */
  begin(): number {
    this.#reserve(1);
    this.#at += 1;
    return this.#at;
  }

  end(began: number): void {
    const length = this.#at - began;
    let more = 0;
    for (let rest = length >>> 7; rest > 0; rest >>>= 7) more += 1;
    if (more > 0) {
      this.#reserve(more);
      this.#bytes.copyWithin(began + more, began, this.#at);
    }
    const finished = this.#at + more;
    this.#at = began - 1;
    this.varint(length);
    this.#at = finished;
  }

  #shortAscii(text: string): boolean {
    this.#reserve(shortString + 1);
    const from = this.#at + 1;
    for (let index = 0; index < text.length; index += 1) {
      const code = text.charCodeAt(index);
      if (code > 0x7f) return false;
      this.#bytes[from + index] = code;
    }
    this.#bytes[this.#at] = text.length;
    this.#at = from + text.length;
    return true;
  }

  /** Six digits at a time: half of 64 bits times a million is still exact. */
  #parse(digits: string, from: number): void {
    if (digits.length === from) throw notInteger(digits);
    this.#low = 0;
    this.#high = 0;
    for (let at = from; at < digits.length; ) {
      let part = 0;
      let scale = 1;
      for (const stop = Math.min(digits.length, at + 6); at < stop; at += 1) {
        const digit = digits.charCodeAt(at) - 48;
        if (digit < 0 || digit > 9) throw notInteger(digits);
        part = part * 10 + digit;
        scale *= 10;
      }
      const low = this.#low * scale + part;
      this.#low = low % 0x1_0000_0000;
      this.#high = this.#high * scale + Math.floor(low / 0x1_0000_0000);
      if (this.#high > 0xffffffff) throw notInteger(digits);
    }
  }

  #negate(): void {
    this.#low = -this.#low >>> 0;
    this.#high = (~this.#high + (this.#low === 0 ? 1 : 0)) >>> 0;
  }

  #varint64(low: number, high: number): void {
    this.#reserve(10);
    let [rest, above] = [low, high];
    while (above > 0 || rest > 0x7f) {
      this.#bytes[this.#at++] = (rest & 0x7f) | 0x80;
      rest = ((rest >>> 7) | (above << 25)) >>> 0;
      above >>>= 7;
    }
    this.#bytes[this.#at++] = rest;
  }

  #reserve(more: number): void {
    if (this.#at + more <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, this.#at + more));
    this.#bytes.copy(larger, 0, 0, this.#at);
    this.#bytes = larger;
  }
}

function notInteger(digits: string): RangeError {
  return new RangeError(`"${digits}" is not an integer of 64 bits`);
}
