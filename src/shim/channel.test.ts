import { duplexPair } from 'node:stream';
import type { Duplex } from 'node:stream';
import { beforeEach, expect, test } from 'vitest';
import { Channel, NativeFailure } from './channel.ts';
import { encodeFrame, FrameDecoder, maxPayloadBytes, messageType, parseControl } from './protocol.ts';
import type { Frame } from './protocol.ts';

let peer: Duplex;
let near: Duplex;
let received: Frame[];
let frames: Frame[];
let ends: Error[];
let channel: Channel;

beforeEach(() => {
  const pair = duplexPair();
  [near, peer] = pair;
  received = [];
  frames = [];
  ends = [];
  const decoder = new FrameDecoder();
  peer.on('data', (chunk: Buffer) => received.push(...decoder.push(chunk)));
  peer.on('error', () => undefined);
  channel = new Channel(near, { peer: 'launcher', onFrame: (frame) => frames.push(frame), onClose: (error) => ends.push(error) });
});

const hello = encodeFrame(messageType.HELLO, 0, { version: 1, program: 'launcher', pid: 1 });
const never = new AbortController().signal;

test('greets first', async () => {
  await expect.poll(() => received.length).toBe(1);
  expect(parseControl(received[0] as Frame)).toEqual({ version: 1, program: 'berthd', pid: process.pid });
});

test('replies go to their requests, whatever their order', async () => {
  peer.write(hello);
  const first = channel.request(messageType.START, {});
  const second = channel.request(messageType.KILL, { signal: 9, all: true });
  await expect.poll(() => received.length).toBe(3);
  expect(received.slice(1).map(({ type, requestId }) => [type, requestId])).toEqual([[messageType.START, 1], [messageType.KILL, 2]]);
  peer.write(Buffer.concat([encodeFrame(messageType.OK, 2, { second: true }), encodeFrame(messageType.OK, 1, { first: true })]));
  expect(await Promise.all([first, second])).toEqual([{ first: true }, { second: true }]);
});

test('ERROR rejects with step, path and errno', async () => {
  peer.write(hello);
  const request = channel.request(messageType.START, {});
  const detail = { step: 'exec', path: '/bin/x', errno: 2, errnoName: 'ENOENT', message: 'no such file' };
  peer.write(encodeFrame(messageType.ERROR, 1, detail));
  const failure = await request.catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(NativeFailure);
  expect((failure as NativeFailure).detail).toEqual(detail);
});

test('an aborted request ends with the reason, and its late reply is dropped', async () => {
  peer.write(hello);
  const controller = new AbortController();
  const request = channel.request(messageType.START, {}, controller.signal);
  controller.abort(new Error('enough'));
  await expect(request).rejects.toThrow('enough');
  peer.write(encodeFrame(messageType.OK, 1, {}));
  const next = channel.request(messageType.START, {}, never);
  peer.write(encodeFrame(messageType.OK, 2, { next: true }));
  expect(await next).toEqual({ next: true });
  await expect(channel.request(messageType.START, {}, controller.signal)).rejects.toThrow('enough');
});

test('a request that is too large is rejected alone', async () => {
  peer.write(hello);
  await expect(channel.request(messageType.EXEC, { args: ['x'.repeat(maxPayloadBytes)] })).rejects.toMatchObject({ code: 'SHIM_PROTOCOL' });
  const next = channel.request(messageType.START, {});
  peer.write(encodeFrame(messageType.OK, 2, {}));
  expect(await next).toEqual({});
});

test('the end of the connection ends every request, once', async () => {
  peer.write(hello);
  const requests = [channel.request(messageType.START, {}), channel.request(messageType.SUBSCRIBE, {})];
  peer.end();
  for (const outcome of await Promise.allSettled(requests)) expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'SHIM_UNAVAILABLE' } });
  near.destroy();
  await expect.poll(() => ends).toHaveLength(1);
  expect(channel.closed).toBe(true);
  await expect(channel.request(messageType.START, {})).rejects.toMatchObject({ code: 'SHIM_UNAVAILABLE' });
  expect(channel.send(messageType.STDIN, 1, Buffer.from('x'))).toBe(false);
});

test.each([
  ['another version', encodeFrame(messageType.HELLO, 0, { version: 2 })],
  ['no greeting', encodeFrame(messageType.OK, 1, {})],
  ['an unknown type', Buffer.concat([hello, Buffer.from([0, 0, 0, 0, 0, 0, 0, 1, 99])])],
  ['a reply that is not JSON', Buffer.concat([hello, encodeFrame(messageType.OK, 1, Buffer.from('{'))])],
])('%s ends the connection', async (_, bytes) => {
  const request = channel.request(messageType.START, {});
  peer.write(bytes);
  await expect(request).rejects.toThrow('protocol violated');
  expect(ends).toHaveLength(1);
  expect(near.destroyed).toBe(true);
});

test('other frames are handed on in order; while paused none is read', async () => {
  peer.write(hello);
  peer.write(encodeFrame(messageType.STDOUT, 7, Buffer.from('one')));
  await expect.poll(() => frames.length).toBe(1);
  channel.setPaused(true);
  peer.write(encodeFrame(messageType.STDOUT, 7, Buffer.from('two')));
  await new Promise((resolve) => setImmediate(resolve));
  expect(frames).toHaveLength(1);
  channel.setPaused(false);
  await expect.poll(() => frames.map(({ payload }) => payload.toString())).toEqual(['one', 'two']);
});

test('a connection that has gone already is one that ends', async () => {
  const [dead] = duplexPair();
  dead.destroy();
  const told: Error[] = [];
  const late = new Channel(dead, { peer: 'shim x', onClose: (error) => told.push(error) });
  await expect(late.request(messageType.START, {})).rejects.toMatchObject({ code: 'SHIM_UNAVAILABLE' });
  expect(told).toHaveLength(1);
});
