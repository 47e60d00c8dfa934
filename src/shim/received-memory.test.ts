import { expect, test } from 'vitest';
import { encodeFrame, FrameDecoder, messageType } from './protocol.ts';
import { received, usedUp } from './received-memory.ts';

const chunkOf = (bytes: number): Buffer => Buffer.from(new ArrayBuffer(bytes));

test('the memory of a chunk goes when all of its bytes are used up, and not before', () => {
  const chunk = chunkOf(10_000);
  const [first, second] = [chunk.subarray(0, 6000), chunk.subarray(6000)];
  received(chunk);
  usedUp(second);
  expect(first.length).toBe(6000);
  usedUp(first);
  expect([first.length, chunk.buffer.byteLength]).toEqual([0, 0]);
});

test('what nobody has announced, or what shares its memory, is left alone', () => {
  const foreign = chunkOf(10_000);
  usedUp(foreign);
  expect(foreign.length).toBe(10_000);
  const part = chunkOf(20_000).subarray(0, 10_000);
  received(part);
  usedUp(part);
  expect(part.length).toBe(10_000);
  const small = Buffer.from('words from the pool');
  received(small);
  usedUp(small);
  expect(String(small)).toBe('words from the pool');
});

test('a long data frame comes in parts that use up their chunks to the last byte, however it is cut', () => {
  const payload = Buffer.alloc(60_000, 'abcdefg');
  const bytes = Buffer.concat([
    encodeFrame(messageType.STDOUT, 1, payload), encodeFrame(messageType.STDERR, 1, Buffer.from('short')), encodeFrame(messageType.STDOUT, 1, Buffer.alloc(0)),
  ]);
  for (const at of [1, 5, 9, 10, 4100, 4105, 30_000, 60_008, 60_009, 60_012, bytes.length - 1]) {
    const chunks = [bytes.subarray(0, at), bytes.subarray(at)].map((part) => Buffer.from(new Uint8Array(part).buffer));
    const decoder = new FrameDecoder();
    const out = { [messageType.STDOUT]: '', [messageType.STDERR]: '' } as Record<number, string>;
    let ends = 0;
    for (const chunk of chunks) {
      received(chunk);
      for (const frame of decoder.push(chunk)) {
        out[frame.type] += frame.payload.toString();
        ends += frame.payload.length === 0 ? 1 : 0;
        usedUp(frame.payload);
      }
    }
    expect(out).toEqual({ [messageType.STDOUT]: payload.toString(), [messageType.STDERR]: 'short' });
    expect(ends).toBe(1);
    expect(chunks.map((chunk) => chunk.buffer.byteLength).filter((length) => length >= 4096)).toEqual([]);
  }
});
