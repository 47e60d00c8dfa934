import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { encodeFrame, FrameDecoder, maxDataBytes, maxPayloadBytes, messageType, parseControl } from './protocol.ts';
import type { MessageType } from './protocol.ts';

interface Golden {
  readonly types: Record<string, number>;
  readonly frames: readonly { name: string; type: MessageType; requestId: number; payload?: string; dataHex?: string; hex: string }[];
  readonly refused: readonly { problem: string; why: string; hex: string }[];
}

const golden = JSON.parse(readFileSync(new URL('../../native/tests/fixtures/protocol.json', import.meta.url), 'utf8')) as Golden;
const whole = Buffer.concat(golden.frames.map(({ hex }) => Buffer.from(hex, 'hex')));

function decode(...chunks: Buffer[]) {
  const decoder = new FrameDecoder();
  return chunks.flatMap((chunk) => [...decoder.push(chunk)].map(({ type, requestId, payload }) => ({ type, requestId, payload: Buffer.from(payload) })));
}

const expected = golden.frames.map(({ type, requestId, payload, dataHex }) => ({
  type,
  requestId,
  payload: payload === undefined ? Buffer.from(dataHex ?? '', 'hex') : Buffer.from(payload),
}));

test('both sides have the same types', () => {
  expect(messageType).toEqual(golden.types);
});

test.each(golden.frames)('$name $requestId is encoded as in the golden frame', ({ type, requestId, payload, dataHex, hex }) => {
  const value = payload === undefined ? Buffer.from(dataHex ?? '', 'hex') : (JSON.parse(payload) as object);
  expect(encodeFrame(type, requestId, value).toString('hex')).toBe(hex);
});

test('all golden frames in one read', () => {
  expect(decode(whole)).toEqual(expected);
});

test('the bytes may be split anywhere', () => {
  for (let cut = 1; cut < whole.length; cut++) expect(decode(whole.subarray(0, cut), whole.subarray(cut))).toHaveLength(expected.length);
  expect(decode(...[...whole].map((byte) => Buffer.from([byte])))).toEqual(expected);
});

test.each(golden.refused)('$problem: $why', ({ problem, hex }) => {
  const bytes = Buffer.from(hex, 'hex');
  if (problem === 'incomplete') expect(decode(bytes)).toEqual([]);
  else expect(() => decode(bytes)).toThrow(expect.objectContaining({ code: 'SHIM_PROTOCOL' }));
});

test('a frame is refused by its header, before its payload is there', () => {
  const header = Buffer.alloc(9);
  header.writeUInt32BE(maxPayloadBytes + 1, 0);
  header.writeUInt8(messageType.OK, 8);
  expect(() => decode(header)).toThrow('claims');
});

test('the largest frames pass, larger ones are not sent', () => {
  const data = Buffer.alloc(maxDataBytes, 7);
  expect(decode(encodeFrame(messageType.STDIN, 3, data))).toEqual([{ type: messageType.STDIN, requestId: 3, payload: data }]);
  expect(() => encodeFrame(messageType.STDIN, 3, Buffer.alloc(maxDataBytes + 1))).toThrow('over the limit');
  expect(() => encodeFrame(messageType.EXEC, 3, { args: ['x'.repeat(maxPayloadBytes)] })).toThrow('over the limit');
});

test.each(['', 'nonsense', '[]', 'null', '7'])('a control payload of %j is no message', (text) => {
  expect(() => parseControl({ type: messageType.OK, requestId: 1, payload: Buffer.from(text) })).toThrow(expect.objectContaining({ code: 'SHIM_PROTOCOL' }));
});
