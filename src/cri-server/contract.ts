/**
 * The CRI contract at run time: the two service definitions for gRPC, and the message descriptors
 * that the request check walks. Read from the generated contract.json, so nothing is parsed at start.
 */
import type { ServiceDefinition } from '@grpc/grpc-js';
import { fromJSON, type Options } from '@grpc/proto-loader';
import contractJson from './generated/contract.json' with { type: 'json' };

/**
 * Names as in the contract; 64-bit integers as decimal strings, because a number loses digits above
 * 2^53; enums by name; every field present.
 */
const options: Options = { keepCase: true, longs: String, enums: String, defaults: true, oneofs: true };

const packageName = 'runtime.v1';

export type ServiceName = 'RuntimeService' | 'ImageService';

export interface FieldDescriptor {
  readonly id: number;
  /** A scalar's name, or the name of a message or enum in scope. */
  readonly type: string;
  readonly rule?: string;
  /** Set for a map; `type` is that of its values. */
  readonly keyType?: string;
}

export interface MessageDescriptor {
  readonly fields: Readonly<Record<string, FieldDescriptor>>;
  readonly nested?: Readonly<Record<string, unknown>>;
}

interface MethodDescriptor {
  readonly requestType: string;
}

interface Scope {
  readonly nested: Readonly<Record<string, Partial<MessageDescriptor> & { methods?: Record<string, MethodDescriptor> }>>;
}

const scope = (contractJson as unknown as { nested: { runtime: { nested: { v1: Scope } } } }).nested.runtime.nested.v1;

/** Undefined for an enum, which has no fields. */
export function messageDescriptor(type: string): MessageDescriptor | undefined {
  const found = scope.nested[type];
  return found?.fields === undefined ? undefined : { fields: found.fields, ...(found.nested && { nested: found.nested }) };
}

export function requestType(service: ServiceName, method: string): string {
  const found = scope.nested[service]?.methods?.[method];
  if (found === undefined) throw new Error(`${service} has no method ${method}`);
  return found.requestType;
}

export function serviceDefinition(service: ServiceName): ServiceDefinition {
  const definitions = fromJSON(contractJson as Parameters<typeof fromJSON>[0], options);
  return Object.fromEntries(
    Object.entries(definitions[`${packageName}.${service}`] as ServiceDefinition).map(([name, method]) => [
      name,
      method.responseStream ? { ...method, responseSerialize: onceForEach(method.responseSerialize) } : method,
    ]),
  );
}

/** Encodes a message once, however many streams the same object goes to. */
function onceForEach(serialize: (message: object) => Buffer): (message: object) => Buffer {
  const encoded = new WeakMap<object, Buffer>();
  return (message) => {
    const known = encoded.get(message);
    if (known !== undefined) return known;
    const bytes = serialize(message);
    encoded.set(message, bytes);
    return bytes;
  };
}
