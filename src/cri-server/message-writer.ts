/**
 * Encodes the contract's messages from plain objects, in one pass. protobufjs first makes a message object of every
 * object, a Long of every 64-bit number and a list of operations of those, which is five times as much work and
 * garbage; a list of 200 containers' statistics has some 20,000 values.
 *
 *   const serialize = messageSerializer('ListContainersResponse');
 *   const bytes: Buffer = serialize({ containers: [] });
 */
import { enumNumbers, messageDescriptor } from './contract-messages.ts';
import type { FieldDescriptor } from './contract-messages.ts';
import { WireOutput } from './wire-output.ts';

/** Writes a value without its tag. */
interface ValueWriter {
  readonly wireType: 0 | 1 | 2;
  readonly write: (output: WireOutput, value: unknown) => void;
  /** Not written outside of a list: what a reader assumes where there is nothing (proto3). */
  readonly isDefault: (value: unknown) => boolean;
}

type FieldWriter = (output: WireOutput, value: unknown) => void;

type MessageWriter = (output: WireOutput, message: object) => void;

/** Of one call at a time: nothing in between waits. */
const output = new WireOutput();

const writers = new Map<string, MessageWriter>();

/** A function that encodes messages of this type. What it throws names the field. Null and absent are the same. */
export function messageSerializer(type: string): (message: object) => Buffer {
  const write = messageWriter(type);
  return (message) => {
    try {
      write(output, message);
      return output.take();
    } catch (cause) {
      output.discard();
      throw cause;
    }
  };
}

function messageWriter(type: string): MessageWriter {
  const known = writers.get(type);
  if (known !== undefined) return known;
  const fields: [string, FieldWriter][] = [];
  // Before its fields, which may be of the same type.
  const writer: MessageWriter = (to, message) => {
    const values = message as Readonly<Record<string, unknown>>;
    for (const [name, write] of fields) {
      const value = values[name];
      if (value !== undefined && value !== null) write(to, value);
    }
  };
  writers.set(type, writer);
  const described = Object.entries(messageDescriptor(type)?.fields ?? {});
  for (const [name, field] of described) fields.push([name, fieldWriter(`${type}.${name}`, type, field)]);
  return writer;
}

function fieldWriter(name: string, scope: string, field: FieldDescriptor): FieldWriter {
  const value = valueWriter(name, scope, field.type);
  if (field.keyType !== undefined) return mapWriter(field.id, valueWriter(name, scope, field.keyType), value);
  if (field.rule === 'repeated') return value.wireType === 2 ? listWriter(field.id, value) : packedWriter(field.id, value);
  const tag = tagOf(field.id, value.wireType);
  return (to, single) => {
    if (value.isDefault(single)) return;
    to.varint(tag);
    value.write(to, single);
  };
}

function tagOf(id: number, wireType: number): number {
  return (id << 3) | wireType;
}

function listWriter(id: number, value: ValueWriter): FieldWriter {
  const tag = tagOf(id, 2);
  return (to, list) => {
    for (const item of list as readonly unknown[]) {
      to.varint(tag);
      value.write(to, item);
    }
  };
}

/** Numbers in a list share one tag (proto3). */
function packedWriter(id: number, value: ValueWriter): FieldWriter {
  const tag = tagOf(id, 2);
  return (to, list) => {
    const items = list as readonly unknown[];
    if (items.length === 0) return;
    to.varint(tag);
    const began = to.begin();
    for (const item of items) value.write(to, item);
    to.end(began);
  };
}

/** A list of messages with the fields 1, key, and 2, value. */
function mapWriter(id: number, key: ValueWriter, value: ValueWriter): FieldWriter {
  const tag = tagOf(id, 2);
  const keyTag = tagOf(1, key.wireType);
  const valueTag = tagOf(2, value.wireType);
  return (to, map) => {
    for (const name in map as object) {
      to.varint(tag);
      const began = to.begin();
      to.varint(keyTag);
      key.write(to, name);
      to.varint(valueTag);
      value.write(to, (map as Readonly<Record<string, unknown>>)[name]);
      to.end(began);
    }
  };
}

function valueWriter(name: string, scope: string, type: string): ValueWriter {
  const scalar = scalarWriters(name)[type];
  if (scalar !== undefined) return scalar;
  const numbers = enumNumbers(scope, type);
  if (numbers !== undefined) return enumWriter(name, numbers);
  if (messageDescriptor(type) === undefined) throw new Error(`${name}: nothing writes the type ${type}`);
  const nested = messageWriter(type);
  return {
    wireType: 2,
    isDefault: () => false,
    write(to, value) {
      const began = to.begin();
      nested(to, value as object);
      to.end(began);
    },
  };
}

function enumWriter(name: string, numbers: Readonly<Record<string, number>>): ValueWriter {
  const numberOf = (value: unknown): number => {
    const number = typeof value === 'string' ? numbers[value] : value;
    if (typeof number !== 'number') throw new TypeError(`${name}: there is no ${String(value)}`);
    return number;
  };
  return { wireType: 0, isDefault: (value) => numberOf(value) === 0, write: (to, value) => to.int32(numberOf(value)) };
}

function scalarWriters(name: string): Readonly<Record<string, ValueWriter>> {
  const wrong = (value: unknown): TypeError => new TypeError(`${name}: a value of type ${typeof value}`);
  const integer = (least: number, most: number): ValueWriter => ({
    wireType: 0,
    isDefault: (value) => value === 0,
    write(to, value) {
      if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) throw new RangeError(`${name}: ${String(value)}`);
      to.int32(value);
    },
  });
  const integer64: ValueWriter = {
    wireType: 0,
    isDefault: (value) => value === '0' || value === 0 || value === 0n,
    write(to, value) {
      if (typeof value === 'string') to.decimal(value);
      else if (typeof value === 'bigint' || (typeof value === 'number' && Number.isSafeInteger(value))) to.decimal(String(value));
      else throw wrong(value);
    },
  };
  return {
    int32: integer(-0x8000_0000, 0x7fff_ffff),
    uint32: integer(0, 0xffff_ffff),
    int64: integer64,
    uint64: integer64,
    bool: { wireType: 0, isDefault: (value) => value === false, write: (to, value) => to.varint(value === true ? 1 : 0) },
    double: { wireType: 1, isDefault: (value) => Object.is(value, 0), write: (to, value) => to.double(Number(value)) },
    string: {
      wireType: 2,
      isDefault: (value) => value === '',
      write(to, value) {
        if (typeof value !== 'string') throw wrong(value);
        to.string(value);
      },
    },
    bytes: {
      wireType: 2,
      isDefault: (value) => (value as Uint8Array).length === 0,
      write(to, value) {
        if (!(value instanceof Uint8Array)) throw wrong(value);
        to.bytes(value);
      },
    },
  };
}
