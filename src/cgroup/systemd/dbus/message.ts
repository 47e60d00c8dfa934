import { DbusError } from './dbus-error.ts';
import { WireReader } from './reader.ts';
import type { DbusValue, Variant } from './value.ts';
import { variant } from './value.ts';
import { WireWriter } from './writer.ts';

/** D-Bus Specification, "Message Format". */
export const messageKind = { call: 1, reply: 2, error: 3, signal: 4 } as const;

export interface DbusMessage {
  readonly kind: number;
  readonly serial: number;
  /** Of the call that this answers; 0 for none. */
  readonly replyTo: number;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly errorName: string;
  readonly destination: string;
  readonly sender: string;
  readonly signature: string;
  readonly body: readonly DbusValue[];
}

type FieldName = 'path' | 'interface' | 'member' | 'errorName' | 'replyTo' | 'destination' | 'sender' | 'signature';

/** Header fields by code; those of other codes are to be ignored. */
const fields: Readonly<Record<number, { readonly name: FieldName; readonly type: string }>> = {
  1: { name: 'path', type: 'o' },
  2: { name: 'interface', type: 's' },
  3: { name: 'member', type: 's' },
  4: { name: 'errorName', type: 's' },
  5: { name: 'replyTo', type: 'u' },
  6: { name: 'destination', type: 's' },
  7: { name: 'sender', type: 's' },
  8: { name: 'signature', type: 'g' },
};

const none = { path: '', interface: '', member: '', errorName: '', replyTo: 0, destination: '', sender: '', signature: '', body: [] } as const;

/** "The maximum length of a message, including header, header alignment padding, and body is 2 to the 27th power". */
const longestMessage = 1 << 27;

/** Up to the length of the header fields' array. */
const fixedBytes = 16;

export function encodeMessage(given: Pick<DbusMessage, 'kind' | 'serial'> & Partial<DbusMessage>): Buffer {
  const message = { ...none, ...given };
  const body = new WireWriter();
  body.write(message.signature, message.body);
  const header = new WireWriter();
  const present = Object.entries(fields).flatMap(([code, { name, type }]): DbusValue[] =>
    message[name] === '' || message[name] === 0 ? [] : [[Number(code), variant(type, message[name])]],
  );
  header.write('yyyyuua(yv)', ['l'.charCodeAt(0), message.kind, 0, 1, body.bytes().length, message.serial, present]);
  header.align(8);
  return Buffer.concat([header.bytes(), body.bytes()]);
}

/** Cuts a byte stream into messages. Throws DbusError on what cannot be one. */
export class MessageDecoder {
  #rest: Buffer = Buffer.alloc(0);

  *push(chunk: Buffer): Generator<DbusMessage> {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    while (this.#rest.length >= fixedBytes) {
      const length = lengthOf(this.#rest);
      if (this.#rest.length < length) return;
      const message = decode(this.#rest.subarray(0, length));
      this.#rest = this.#rest.subarray(length);
      yield message;
    }
  }
}

function isLittle(bytes: Buffer): boolean {
  const order = String.fromCharCode(bytes[0] ?? 0);
  if (order !== 'l' && order !== 'B') throw new DbusError(`byte order "${order}"`);
  return order === 'l';
}

function lengthOf(bytes: Buffer): number {
  const unsigned = (at: number): number => (isLittle(bytes) ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at));
  const header = fixedBytes + unsigned(12);
  const length = Math.ceil(header / 8) * 8 + unsigned(4);
  if (length > longestMessage) throw new DbusError(`a message of ${length} bytes is too long`);
  return length;
}

function decode(bytes: Buffer): DbusMessage {
  const reader = new WireReader(bytes, isLittle(bytes));
  const [, kind, , version, , serial, list] = reader.read('yyyyuua(yv)') as [number, number, number, number, number, number, [number, Variant][]];
  if (version !== 1) throw new DbusError(`protocol version ${version}`);
  const message: Record<FieldName, DbusValue> = { ...none };
  for (const [code, { signature, value }] of list) {
    const field = fields[code];
    if (field === undefined) continue;
    if (field.type !== signature) throw new DbusError(`header field ${field.name} of type "${signature}"`);
    message[field.name] = value;
  }
  reader.align(8);
  // In an array of its own, since values are aligned to the beginning of the body, which is a multiple of 8.
  const body = new WireReader(bytes.subarray(reader.position), isLittle(bytes)).read(message.signature as string);
  return { ...(message as Record<Exclude<FieldName, 'replyTo'>, string> & { readonly replyTo: number }), kind, serial, body };
}
