/**
 * What is wrong with a request whatever it asks for, found before any handler sees it.
 *
 * - NUL in a string or in bytes: the kernel would cut the value there, so that what is checked and
 *   what is used could differ.
 * - An enum number that this contract does not have: guessing what it means would be guessing about
 *   isolation.
 * - A user or group id outside 32 bits: it would wrap, and 2^32 wraps to root (CVE-2024-40635).
 *   4294967295 is (uid_t)-1, which setuid(2) and chown(2) take for "leave as it is".
 */
import { invalidField } from '../errors/catalogue.ts';
import { messageDescriptor, type FieldDescriptor } from './contract-messages.ts';

const highestId = 4294967294n;

const idFields = new Set(['run_as_user', 'run_as_group', 'supplemental_groups']);

const numberTypes = new Set(['double', 'float', 'int32', 'uint32', 'sint32', 'fixed32', 'sfixed32']);

/** Throws INVALID_FIELD naming the first wrong field. `type` is the request's message name. */
export function checkRequest(type: string, request: object): void {
  checkMessage(type, request as Readonly<Record<string, unknown>>, '');
}

function checkMessage(type: string, message: Readonly<Record<string, unknown>>, path: string): void {
  const descriptor = messageDescriptor(type);
  if (descriptor === undefined) throw new Error(`the contract has no message ${type}`);
  for (const [name, field] of Object.entries(descriptor.fields)) {
    const value = message[name];
    if (value === undefined || value === null) continue;
    checkField(name, field, value, path === '' ? name : `${path}.${name}`);
  }
}

function checkField(name: string, field: FieldDescriptor, value: unknown, path: string): void {
  if (field.rule === 'repeated') {
    (value as readonly unknown[]).forEach((item, index) => checkValue(name, field, item, `${path}[${index}]`));
  } else if (field.keyType !== undefined) {
    for (const [key, item] of Object.entries(value as Readonly<Record<string, unknown>>)) {
      const itemPath = `${path}[${JSON.stringify(key)}]`;
      checkString(key, itemPath);
      checkValue(name, field, item, itemPath);
    }
  } else {
    checkValue(name, field, value, path);
  }
}

function checkValue(name: string, field: FieldDescriptor, value: unknown, path: string): void {
  if (idFields.has(name)) checkId(value, path);
  if (typeof value === 'string') checkString(value, path);
  else if (value instanceof Uint8Array) checkBytes(value, path);
  else if (typeof value === 'number') checkNumber(field, value, path);
  else if (typeof value === 'object' && value !== null) {
    checkMessage(field.type, value as Readonly<Record<string, unknown>>, path);
  }
}

function checkString(value: string, path: string): void {
  if (value.includes('\0')) throw invalidField(path, 'contains a NUL character');
}

function checkBytes(value: Uint8Array, path: string): void {
  if (value.includes(0)) throw invalidField(path, 'contains a NUL byte');
}

/** Enums are decoded to their names; one that stays a number has no name. */
function checkNumber(field: FieldDescriptor, value: number, path: string): void {
  if (!numberTypes.has(field.type)) throw invalidField(path, `${value} is not a value of ${field.type}`);
}

/** `value` is an Int64Value, or an int64 as its decimal string. */
function checkId(value: unknown, path: string): void {
  const text = typeof value === 'object' && value !== null && 'value' in value ? value.value : value;
  const id = BigInt(text as string);
  if (id < 0n || id > highestId) throw invalidField(path, `${id} is not between 0 and ${highestId}`);
}
