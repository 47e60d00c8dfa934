import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DbusConnection } from './connection.ts';
import { encodeMessage, MessageDecoder, messageKind } from './message.ts';
import type { DbusMessage } from './message.ts';

let directory: string;
let server: Server;
let client: Socket | undefined;
/** What the bus of this test does with a call; Hello is always answered. */
let onCall: (call: DbusMessage, socket: Socket) => void;
let greeting: string;
let heard: string;
const never = new AbortController().signal;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'berth-dbus-'));
  onCall = () => undefined;
  greeting = 'OK 1234\r\n';
  heard = '';
  server = createServer(serve);
  await new Promise<void>((resolve) => server.listen(join(directory, 'bus'), resolve));
});

afterEach(async () => {
  client?.destroy();
  await new Promise((resolve) => server.close(resolve));
  await rm(directory, { recursive: true });
});

function serve(socket: Socket): void {
  client = socket;
  const decoder = new MessageDecoder();
  let text = '';
  socket.on('error', () => undefined);
  socket.on('data', (chunk: Buffer) => {
    if (text.endsWith('BEGIN\r\n')) return dispatch(decoder, chunk, socket);
    text += chunk.toString('latin1');
    heard = text;
    const begin = text.indexOf('BEGIN\r\n');
    if (begin < 0) return void socket.write(greeting);
    const rest = Buffer.from(text.slice(begin + 7), 'latin1');
    text = text.slice(0, begin + 7);
    dispatch(decoder, rest, socket);
  });
}

function dispatch(decoder: MessageDecoder, chunk: Buffer, socket: Socket): void {
  for (const call of decoder.push(chunk)) {
    if (call.member === 'Hello') reply(socket, call, 's', [':1.7']);
    else onCall(call, socket);
  }
}

function reply(socket: Socket, call: DbusMessage, signature: string, body: DbusMessage['body']): void {
  socket.write(encodeMessage({ kind: messageKind.reply, serial: 1, replyTo: call.serial, signature, body }));
}

const open = (on: { signal?: (signal: DbusMessage) => void; close?: () => void } = {}) =>
  DbusConnection.open(join(directory, 'bus'), { signal: on.signal ?? (() => undefined), close: on.close ?? (() => undefined) }, never);

const ping = { destination: 'a.b', path: '/a', interface: 'a.b', member: 'Ping' };

test('authenticates as the user that it is, and answers belong to their calls', async () => {
  const connection = await open();
  expect(heard).toMatch(/^\0AUTH EXTERNAL [0-9a-f]+\r\nBEGIN\r\n/);
  const calls: DbusMessage[] = [];
  onCall = (call, socket) => {
    calls.push(call);
    // Both at once, in the other order.
    if (calls.length === 2) for (const each of calls.toReversed()) reply(socket, each, 's', [each.body[0] ?? '']);
  };
  const answers = ['one', 'two'].map((text) => connection.call({ ...ping, signature: 's', body: [text] }, never));
  expect(await Promise.all(answers)).toEqual([['one'], ['two']]);
  connection.close();
});

test('an error is the call\'s alone, with its name', async () => {
  const connection = await open();
  onCall = (call, socket) =>
    void socket.write(encodeMessage({ kind: messageKind.error, serial: 9, replyTo: call.serial, errorName: 'a.b.Bad', signature: 's', body: ['it is bad'] }));
  await expect(connection.call(ping, never)).rejects.toMatchObject({ message: 'it is bad', dbusName: 'a.b.Bad' });
  expect(connection.open).toBe(true);
  connection.close();
});

test('signals are handed on', async () => {
  const seen: string[] = [];
  const connection = await open({ signal: ({ member }) => void seen.push(member) });
  onCall = (call, socket) => {
    socket.write(encodeMessage({ kind: messageKind.signal, serial: 5, path: '/a', interface: 'a.b', member: 'Changed' }));
    reply(socket, call, '', []);
  };
  await connection.match("type='signal'", never);
  expect(seen).toEqual(['Changed']);
  connection.close();
});

test('a bus that goes away fails what is in flight and what comes after', async () => {
  let closed = 0;
  const connection = await open({ close: () => (closed += 1) });
  onCall = (_call, socket) => void socket.destroy();
  await expect(connection.call(ping, never)).rejects.toThrow(/the bus/);
  await expect(connection.call(ping, never)).rejects.toThrow(/the bus/);
  expect([closed, connection.open]).toEqual([1, false]);
});

test('a bus that talks nonsense is left', async () => {
  const connection = await open();
  onCall = (_call, socket) => void socket.write('nonsense nonsense nonsense');
  await expect(connection.call(ping, never)).rejects.toThrow(/byte order/);
});

test('a call that nobody waits for any more ends with its signal, and a late answer hurts nobody', async () => {
  const connection = await open();
  const controller = new AbortController();
  const late: (() => void)[] = [];
  onCall = (call, socket) => {
    if (late.push(() => reply(socket, call, '', [])) === 1) controller.abort(new Error('enough'));
    else for (const answer of late) answer();
  };
  await expect(connection.call(ping, controller.signal)).rejects.toThrow('enough');
  expect(await connection.call(ping, never)).toEqual([]);
  await expect(connection.call(ping, controller.signal)).rejects.toThrow('enough');
  connection.close();
});

test('a bus that does not take the user, or is not there, says so', async () => {
  greeting = 'REJECTED EXTERNAL\r\n';
  await expect(open()).rejects.toThrow(/REJECTED/);
  await expect(DbusConnection.open(join(directory, 'none'), { signal: () => undefined, close: () => undefined }, never)).rejects.toThrow(/ENOENT/);
});
