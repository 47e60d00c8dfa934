/** The contract at run time: CRI's two service definitions for gRPC and Berth's own. */
import type { ServiceDefinition } from '@grpc/grpc-js';
import { fromJSON, type Options } from '@grpc/proto-loader';
import { contractJson, contractScope } from './contract-messages.ts';
import { messageSerializer } from './message-writer.ts';

/**
 * Names as in the contract; 64-bit integers as decimal strings, because a number loses digits above
 * 2^53; enums by name; every field present.
 */
const options: Options = { keepCase: true, longs: String, enums: String, defaults: true, oneofs: true };

const packageOf = { RuntimeService: 'runtime.v1', ImageService: 'runtime.v1', Images: 'berth.v1' } as const;

export type ServiceName = keyof typeof packageOf;

type Method = 'requestType' | 'responseType';

function messageOf(service: ServiceName, method: string, which: Method): string {
  const found = contractScope[service]?.methods?.[method];
  if (found === undefined) throw new Error(`${service} has no method ${method}`);
  return found[which];
}

export function requestType(service: ServiceName, method: string): string {
  return messageOf(service, method, 'requestType');
}

/** As gRPC writes it in paths: with its package. */
export function serviceName(service: ServiceName): string {
  return `${packageOf[service]}.${service}`;
}

export function serviceDefinition(service: ServiceName): ServiceDefinition {
  const definitions = fromJSON(contractJson as Parameters<typeof fromJSON>[0], options);
  return Object.fromEntries(
    Object.entries(definitions[serviceName(service)] as ServiceDefinition).map(([name, method]) => {
      const serialize = messageSerializer(messageOf(service, name, 'responseType'));
      return [name, { ...method, responseSerialize: method.responseStream ? onceForEach(serialize) : serialize }];
    }),
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
