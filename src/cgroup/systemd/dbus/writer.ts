import { DbusError } from './dbus-error.ts';
import { alignmentOf, parseSignature } from './signature.ts';
import type { BasicCode, DbusType } from './signature.ts';
import type { DbusValue, Variant } from './value.ts';

/** "Arrays have a maximum length defined to be 2 to the 26th power or 67108864 (64 MiB)." */
const longestArray = 1 << 26;

/** Writes values in little-endian wire format (D-Bus Specification, "Marshaling"). Throws DbusError for a value that is not of its type. */
export class WireWriter {
  #buffer = Buffer.alloc(256);
  #length = 0;

  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  write(signature: string, values: readonly DbusValue[]): void {
    const types = parseSignature(signature);
    if (types.length !== values.length) throw new DbusError(`${values.length} values for the signature "${signature}"`);
    types.forEach((type, index) => this.#value(type, values[index] as DbusValue));
  }

  align(to: number): void {
    const padding = (to - (this.#length % to)) % to;
    this.#room(padding).fill(0);
  }

  #value(type: DbusType, value: DbusValue): void {
    this.align(alignmentOf(type));
    if (type.kind === 'array') this.#array(type.element, value);
    else if (type.kind === 'struct') this.#fields(type.fields, value);
    else if (type.kind === 'variant') this.#variant(value);
    else this.#basic(type.code, value);
  }

  #basic(code: BasicCode, value: DbusValue): void {
    try {
      this.#write(code, value);
    } catch (cause) {
      if (cause instanceof DbusError) throw cause;
      throw new DbusError(`a ${typeof value} does not fit the type ${code}`, '', { cause });
    }
  }

  #write(code: BasicCode, value: DbusValue): void {
    switch (code) {
      case 'y': return void this.#room(1).writeUInt8(value as number);
      case 'b': return void this.#room(4).writeUInt32LE(value === true ? 1 : 0);
      case 'n': return void this.#room(2).writeInt16LE(value as number);
      case 'q': return void this.#room(2).writeUInt16LE(value as number);
      case 'i': return void this.#room(4).writeInt32LE(value as number);
      case 'u': case 'h': return void this.#room(4).writeUInt32LE(value as number);
      case 'x': return void this.#room(8).writeBigInt64LE(value as bigint);
      case 't': return void this.#room(8).writeBigUInt64LE(value as bigint);
      case 'd': return void this.#room(8).writeDoubleLE(value as number);
      case 's': case 'o': case 'g': return this.#text(code, textOf(value));
    }
  }

  #text(code: 's' | 'o' | 'g', text: string): void {
    if (text.includes('\0')) throw new DbusError('text holds a NUL byte');
    const bytes = Buffer.from(text);
    if (code !== 'g') this.#room(4).writeUInt32LE(bytes.length);
    else if (bytes.length > 255) throw new DbusError('a signature is longer than 255 bytes');
    else this.#room(1).writeUInt8(bytes.length);
    bytes.copy(this.#room(bytes.length));
    this.#room(1).writeUInt8(0);
  }

  #array(element: DbusType, value: DbusValue): void {
    const lengthAt = this.#length;
    this.#room(4);
    // The padding in front of the first element does not count, and is there even without one.
    this.align(alignmentOf(element));
    const from = this.#length;
    if (Buffer.isBuffer(value) && element.kind === 'basic' && element.code === 'y') value.copy(this.#room(value.length));
    else for (const item of listOf(value)) this.#value(element, item);
    const length = this.#length - from;
    if (length > longestArray) throw new DbusError(`an array of ${length} bytes is too long`);
    this.#buffer.writeUInt32LE(length, lengthAt);
  }

  #fields(types: readonly DbusType[], value: DbusValue): void {
    const fields = listOf(value);
    if (fields.length !== types.length) throw new DbusError(`${fields.length} values for a struct of ${types.length}`);
    types.forEach((type, index) => this.#value(type, fields[index] as DbusValue));
  }

  #variant(value: DbusValue): void {
    if (typeof value !== 'object' || !('signature' in value)) throw new DbusError('a variant has to name its signature');
    const { signature, value: inner } = value as Variant;
    this.#text('g', signature);
    const [type, ...more] = parseSignature(signature);
    if (type === undefined || more.length > 0) throw new DbusError(`a variant holds one value, not "${signature}"`);
    this.#value(type, inner);
  }

  /** The next `count` bytes, to be filled. */
  #room(count: number): Buffer {
    const from = this.#length;
    if (from + count > this.#buffer.length) {
      const larger = Buffer.alloc(Math.max(this.#buffer.length * 2, from + count));
      this.#buffer.copy(larger);
      this.#buffer = larger;
    }
    this.#length += count;
    return this.#buffer.subarray(from, from + count);
  }
}

function textOf(value: DbusValue): string {
  if (typeof value !== 'string') throw new DbusError(`${typeof value} is no text`);
  return value;
}

function listOf(value: DbusValue): readonly DbusValue[] {
  if (!Array.isArray(value)) throw new DbusError(`${typeof value} is no list`);
  return value as readonly DbusValue[];
}
