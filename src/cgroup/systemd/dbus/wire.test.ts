import { expect, test } from 'vitest';
import { DbusError } from './dbus-error.ts';
import { encodeMessage, MessageDecoder, messageKind } from './message.ts';
import type { DbusMessage } from './message.ts';
import { WireReader } from './reader.ts';
import { parseSignature } from './signature.ts';
import { variant } from './value.ts';
import type { DbusValue } from './value.ts';
import { WireWriter } from './writer.ts';

function written(signature: string, ...values: DbusValue[]): Buffer {
  const writer = new WireWriter();
  writer.write(signature, values);
  return writer.bytes();
}

test('the examples of the specification, byte for byte', () => {
  // "foo", "+" and "bar" as three strings, each aligned to 4.
  expect(written('sss', 'foo', '+', 'bar').toString('latin1')).toBe(
    '\x03\0\0\0foo\0' + '\x01\0\0\0+\0\0\0' + '\x03\0\0\0bar\0',
  );
  // An array of one 64-bit integer: the padding after the length is not counted in it.
  expect([...written('ax', [5n])]).toEqual([8, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0]);
});

test('an empty array is padded as if it had an element, and a signature has a length of one byte', () => {
  expect([...written('at', [])]).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
  expect([...written('g', 'au')]).toEqual([2, 97, 117, 0]);
});

test.each<[string, readonly DbusValue[]]>([
  ['ybnqiuxtd', [255, true, -32_768, 65_535, -1, 4_294_967_295, -1n, 18_446_744_073_709_551_615n, 0.5]],
  ['so', ['ä €', '/org/freedesktop']],
  ['ay', [Buffer.from([1, 0, 255])]],
  ['au', [[1, 2, 3]]],
  ['a{sv}', [[['a', variant('t', 1n)], ['b', variant('as', ['x', 'y'])]]]],
  ['ssa(sv)a(sa(sv))', ['name', 'fail', [['Delegate', variant('b', true)], ['PIDs', variant('au', [7])]], []]],
  ['y(yt)', [1, [2, 3n]]],
  ['v', [variant('v', variant('(is)', [1, 'deep']))]],
  ['aas', [[['a'], [], ['b', 'c']]]],
])('%s comes back as it was written', (signature, values) => {
  expect(new WireReader(written(signature, ...values), true).read(signature)).toEqual(values);
});

test('reads the other byte order', () => {
  const bytes = Buffer.from([0, 0, 0, 2, 0, 0, 0, 1, 0x61, 0, 0xff, 0xfe]);
  expect(new WireReader(bytes, false).read('usn')).toEqual([2, 'a', -2]);
});

test('what was never of its type is refused', () => {
  const wrong: [string, DbusValue[]][] = [
    ['s', [1]], ['s', ['a\0b']], ['u', [-1]], ['u', [2 ** 32]], ['t', [1]], ['y', [256]], ['au', ['x']], ['v', ['x']],
    ['(us)', [[1]]], ['u', []], ['v', [variant('uu', [1, 2])]], ['g', ['u'.repeat(256)]],
  ];
  for (const [signature, values] of wrong) expect(() => written(signature, ...values)).toThrow(DbusError);
});

test.each(['a', '(', '()', '{s}', '{sss}', ')', 'z', 'a'.repeat(66) + 'y', '(s'])('the signature %s is refused', (signature) => {
  expect(() => parseSignature(signature)).toThrow(DbusError);
});

test('bytes that end too early, or lie about their length, are refused', () => {
  const whole = written('a(sv)', [['name', variant('s', 'value')]]);
  for (let length = 0; length < whole.length; length += 1) {
    expect(() => new WireReader(whole.subarray(0, length), true).read('a(sv)')).toThrow(DbusError);
  }
  // An array of 5 bytes with elements of 4; an endless variant; text without its end.
  expect(() => new WireReader(Buffer.from([5, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]), true).read('au')).toThrow(/ends within/);
  expect(() => new WireReader(Buffer.from('\x01v\0'.repeat(100), 'latin1'), true).read('v')).toThrow(/nested/);
  expect(() => new WireReader(Buffer.from([1, 0, 0, 0, 97, 98]), true).read('s')).toThrow(/NUL/);
});

const call = {
  kind: messageKind.call,
  serial: 3,
  destination: 'org.freedesktop.systemd1',
  path: '/org/freedesktop/systemd1',
  interface: 'org.freedesktop.systemd1.Manager',
  member: 'StopUnit',
  signature: 'ss',
  body: ['a.slice', 'replace'],
};

test('messages come back whole from any cuts of the stream', () => {
  const stream = Buffer.concat([encodeMessage(call), encodeMessage({ kind: messageKind.reply, serial: 4, replyTo: 3 })]);
  for (const size of [1, 7, 16, 100, stream.length]) {
    const decoder = new MessageDecoder();
    const got: DbusMessage[] = [];
    for (let at = 0; at < stream.length; at += size) got.push(...decoder.push(stream.subarray(at, at + size)));
    expect(got).toEqual([
      { ...call, replyTo: 0, errorName: '', sender: '' },
      expect.objectContaining({ kind: messageKind.reply, serial: 4, replyTo: 3, signature: '', body: [] }),
    ]);
  }
});

test('the fixed part of a call is what the specification says', () => {
  const bytes = encodeMessage(call);
  expect(bytes.toString('latin1', 0, 4)).toBe('l\x01\0\x01');
  const headerEnd = 16 + bytes.readUInt32LE(12);
  expect(bytes.readUInt32LE(4)).toBe(bytes.length - Math.ceil(headerEnd / 8) * 8);
  expect(bytes.readUInt32LE(8)).toBe(3);
});

test('a stream that is no D-Bus is refused', () => {
  const push = (bytes: Buffer): DbusMessage[] => [...new MessageDecoder().push(bytes)];
  expect(() => push(Buffer.alloc(16, 'x'))).toThrow(/byte order/);
  const version = encodeMessage(call);
  version[3] = 2;
  expect(() => push(version)).toThrow(/version/);
  const huge = encodeMessage(call);
  huge.writeUInt32LE(0xffff_ffff, 4);
  expect(() => push(huge)).toThrow(/too long/);
});
