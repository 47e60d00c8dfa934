import { DbusError } from './dbus-error.ts';
import { alignmentOf, parseSignature } from './signature.ts';
import type { BasicCode, DbusType } from './signature.ts';
import type { DbusValue } from './value.ts';

/** Variants may hold variants; this many levels are more than any peer needs. */
const deepestVariant = 64;

/** Reads values in wire format of either byte order. Throws DbusError for bytes that cannot be what the signature says. */
export class WireReader {
  readonly #bytes: Buffer;
  readonly #little: boolean;
  #at: number;
  #variants = 0;

  constructor(bytes: Buffer, little: boolean, at = 0) {
    this.#bytes = bytes;
    this.#little = little;
    this.#at = at;
  }

  get position(): number {
    return this.#at;
  }

  read(signature: string): DbusValue[] {
    return parseSignature(signature).map((type) => this.#value(type));
  }

  align(to: number): void {
    this.#take((to - (this.#at % to)) % to);
  }

  #value(type: DbusType): DbusValue {
    this.align(alignmentOf(type));
    if (type.kind === 'array') return this.#array(type.element);
    if (type.kind === 'struct') return type.fields.map((field) => this.#value(field));
    if (type.kind === 'variant') return this.#variant();
    return this.#basic(type.code);
  }

  #basic(code: BasicCode): DbusValue {
    switch (code) {
      case 'y': return this.#take(1).readUInt8();
      case 'b': return this.#unsigned() !== 0;
      case 'n': return this.#little ? this.#take(2).readInt16LE() : this.#take(2).readInt16BE();
      case 'q': return this.#little ? this.#take(2).readUInt16LE() : this.#take(2).readUInt16BE();
      case 'i': return this.#little ? this.#take(4).readInt32LE() : this.#take(4).readInt32BE();
      case 'u': case 'h': return this.#unsigned();
      case 'x': return this.#little ? this.#take(8).readBigInt64LE() : this.#take(8).readBigInt64BE();
      case 't': return this.#little ? this.#take(8).readBigUInt64LE() : this.#take(8).readBigUInt64BE();
      case 'd': return this.#little ? this.#take(8).readDoubleLE() : this.#take(8).readDoubleBE();
      case 'g': return this.#text(this.#take(1).readUInt8());
      case 's': case 'o': return this.#text(this.#unsigned());
    }
  }

  #unsigned(): number {
    return this.#little ? this.#take(4).readUInt32LE() : this.#take(4).readUInt32BE();
  }

  #text(length: number): string {
    const text = this.#take(length).toString('utf8');
    if (this.#take(1)[0] !== 0) throw new DbusError('text does not end with a NUL byte');
    return text;
  }

  #array(element: DbusType): DbusValue {
    const length = this.#unsigned();
    this.align(alignmentOf(element));
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new DbusError('an array is longer than its message');
    if (isByte(element)) return Buffer.from(this.#take(length));
    const items: DbusValue[] = [];
    while (this.#at < end) items.push(this.#value(element));
    if (this.#at !== end) throw new DbusError('an array ends within an element');
    return items;
  }

  #variant(): DbusValue {
    const signature = this.#text(this.#take(1).readUInt8());
    const [type, ...more] = parseSignature(signature);
    if (type === undefined || more.length > 0) throw new DbusError(`a variant holds "${signature}"`);
    this.#variants += 1;
    if (this.#variants > deepestVariant) throw new DbusError('variants are nested too deeply');
    const value = this.#value(type);
    this.#variants -= 1;
    return { signature, value };
  }

  #take(count: number): Buffer {
    const from = this.#at;
    if (from + count > this.#bytes.length) throw new DbusError('a message ends within a value');
    this.#at += count;
    return this.#bytes.subarray(from, this.#at);
  }
}

function isByte(type: DbusType): boolean {
  return type.kind === 'basic' && type.code === 'y';
}
