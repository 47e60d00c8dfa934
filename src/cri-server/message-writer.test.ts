import { loadSync } from '@grpc/proto-loader';
import type { MessageTypeDefinition, ServiceDefinition } from '@grpc/proto-loader';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { contractScope, enumNumbers, messageDescriptor } from './contract-messages.ts';
import type { FieldDescriptor } from './contract-messages.ts';
import { messageSerializer } from './message-writer.ts';

/** The same contract as another implementation reads and decodes it. */
const protobuf = loadSync(new URL('../../proto/cri/v1/api.proto', import.meta.url).pathname, {
  keepCase: true, longs: String, enums: String, defaults: true,
});

function decode(type: string, bytes: Buffer): object {
  return (protobuf[`runtime.v1.${type}`] as unknown as MessageTypeDefinition<object, object>).deserialize(bytes);
}

/** What a decoder makes of bytes that protobuf's own encoder wrote. */
function throughProtobuf(type: string, message: object): object {
  return decode(type, (protobuf[`runtime.v1.${type}`] as unknown as MessageTypeDefinition<object, object>).serialize(message));
}

const responses = ['RuntimeService', 'ImageService'].flatMap((name) =>
  Object.values(contractScope[name]?.methods ?? {}).map(({ responseType }) => responseType));

const scalars: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  string: fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary', minLength: 20, maxLength: 3000 })),
  bytes: fc.uint8Array().map((bytes) => Buffer.from(bytes)),
  bool: fc.boolean(),
  double: fc.double({ noNaN: true }),
  int32: fc.integer(),
  uint32: fc.nat({ max: 0xffff_ffff }),
  int64: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String),
  uint64: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String),
};

function anyValue(scope: string, { type }: FieldDescriptor, depth: number): fc.Arbitrary<unknown> {
  const numbers = enumNumbers(scope, type);
  return scalars[type] ?? (numbers === undefined ? anyMessage(type, depth - 1) : fc.constantFrom(...Object.keys(numbers)));
}

function anyMessage(type: string, depth = 4): fc.Arbitrary<object> {
  const described = Object.entries(messageDescriptor(type)?.fields ?? {});
  if (depth === 0) return fc.constant({});
  const fields = described.map(([name, field]) => {
    const value = anyValue(type, field, depth);
    if (field.keyType !== undefined) return [name, fc.dictionary(fc.string().filter((key) => key !== '__proto__'), value, { maxKeys: 3 })] as const;
    return [name, field.rule === 'repeated' ? fc.array(value, { maxLength: 4 }) : value] as const;
  });
  return fc.record(Object.fromEntries(fields), { requiredKeys: [] });
}

describe('every response of the contract', () => {
  test.each([...new Set(responses)])('%s decodes to what protobuf makes of it', (type) => {
    const serialize = messageSerializer(type);
    fc.assert(fc.property(anyMessage(type), (message) => {
      expect(decode(type, serialize(message))).toEqual(throughProtobuf(type, message));
    }), { numRuns: 20 });
  });

  test('each method has one', () => {
    const methods = ['RuntimeService', 'ImageService'].flatMap((name) => Object.keys(protobuf[`runtime.v1.${name}`] as ServiceDefinition));
    expect(methods).toHaveLength(responses.length);
  });
});

describe('64-bit numbers', () => {
  const serialize = messageSerializer('Int64Value');
  const read = (value: string | number | bigint) => (decode('Int64Value', serialize({ value })) as { value: string }).value;

  test.each(['0', '1', '-1', '127', '128', '4294967295', '4294967296', '9223372036854775807', '-9223372036854775808', '1700000000123456789'])(
    '%s', (value) => expect(read(value)).toBe(value));

  test('also as bigint and as a number that is exact', () => {
    expect(read(2n ** 62n)).toBe(String(2n ** 62n));
    expect(read(-(2 ** 52))).toBe(String(-(2 ** 52)));
  });

  test.each(['', '-', '1.5', '1e3', ' 1', '18446744073709551616', '99999999999999999999'])('"%s" is refused', (value) => {
    expect(() => serialize({ value })).toThrow(RangeError);
    // Nothing of the failed message gets into the next one.
    expect(read('5')).toBe('5');
  });

  test('a number that has lost digits is refused', () => {
    expect(() => serialize({ value: 2 ** 60 })).toThrow('Int64Value.value');
  });
});

test('null is absent, and so is what a reader assumes anyway', () => {
  expect(messageSerializer('ContainerStatus')({ id: '', metadata: null, labels: {}, mounts: [], exit_code: 0, state: 'CONTAINER_CREATED' })).toHaveLength(0);
  expect(messageSerializer('ContainerStats')({ cpu: {} })).toEqual(Buffer.from([0x12, 0]));
});

test.each([
  ['ContainerStatus', { state: 'CONTAINER_LOST' }, 'ContainerStatus.state: there is no CONTAINER_LOST'],
  ['ContainerStatus', { exit_code: 2 ** 31 }, 'ContainerStatus.exit_code'],
  ['ContainerStatus', { id: 5 }, 'ContainerStatus.id: a value of type number'],
  ['ExecSyncResponse', { stdout: 'text' }, 'ExecSyncResponse.stdout'],
])('%s with a wrong value names the field', (type, message, words) => {
  expect(() => messageSerializer(type)(message)).toThrow(words);
});
