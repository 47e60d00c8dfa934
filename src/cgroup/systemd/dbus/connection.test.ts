import { afterEach, beforeEach, expect, test } from 'vitest';
import { FakeBus } from '../testing/fake-bus.ts';
import { DbusConnection } from './connection.ts';
import type { DbusMessage } from './message.ts';

let bus: FakeBus;
const never = new AbortController().signal;

beforeEach(async () => {
  bus = await FakeBus.start();
});
afterEach(() => bus.stop());

const open = (on: { signal?: (signal: DbusMessage) => void; close?: () => void } = {}) =>
  DbusConnection.open(bus.socket, { signal: on.signal ?? (() => undefined), close: on.close ?? (() => undefined) }, never);

const ping = { destination: 'a.b', path: '/a', interface: 'a.b', member: 'Ping' };

test('authenticates as the user that it is, and answers belong to their calls', async () => {
  const connection = await open();
  expect(bus.heard).toMatch(/^\0AUTH EXTERNAL [0-9a-f]+\r\nBEGIN\r\n/);
  const calls: DbusMessage[] = [];
  bus.onCall = (call) => {
    calls.push(call);
    // Both at once, in the other order.
    if (calls.length === 2) for (const each of calls.toReversed()) bus.reply(each, 's', [each.body[0] ?? '']);
  };
  const answers = ['one', 'two'].map((text) => connection.call({ ...ping, signature: 's', body: [text] }, never));
  expect(await Promise.all(answers)).toEqual([['one'], ['two']]);
  connection.close();
});

test('an error is the call\'s alone, with its name', async () => {
  const connection = await open();
  bus.onCall = (call) => bus.refuse(call, 'a.b.Bad', 'it is bad');
  await expect(connection.call(ping, never)).rejects.toMatchObject({ message: 'it is bad', dbusName: 'a.b.Bad' });
  expect(connection.open).toBe(true);
  connection.close();
});

test('signals are handed on', async () => {
  const seen: string[] = [];
  const connection = await open({ signal: ({ member }) => void seen.push(member) });
  bus.onCall = (call) => {
    bus.signal({ path: '/a', interface: 'a.b', member: 'Changed' });
    bus.reply(call);
  };
  await connection.match("type='signal'", never);
  expect(seen).toEqual(['Changed']);
  connection.close();
});

test('a bus that goes away fails what is in flight and what comes after', async () => {
  let closed = 0;
  const connection = await open({ close: () => (closed += 1) });
  bus.onCall = () => bus.drop();
  await expect(connection.call(ping, never)).rejects.toThrow(/the bus/);
  await expect(connection.call(ping, never)).rejects.toThrow(/the bus/);
  expect([closed, connection.open]).toEqual([1, false]);
});

test('a bus that talks nonsense is left', async () => {
  const connection = await open();
  bus.onCall = () => bus.send('nonsense nonsense nonsense');
  await expect(connection.call(ping, never)).rejects.toThrow(/byte order/);
});

test('a call that nobody waits for any more ends with its signal, and a late answer hurts nobody', async () => {
  const connection = await open();
  const controller = new AbortController();
  const late: DbusMessage[] = [];
  bus.onCall = (call) => {
    if (late.push(call) === 1) controller.abort(new Error('enough'));
    else for (const each of late) bus.reply(each);
  };
  await expect(connection.call(ping, controller.signal)).rejects.toThrow('enough');
  expect(await connection.call(ping, never)).toEqual([]);
  await expect(connection.call(ping, controller.signal)).rejects.toThrow('enough');
  connection.close();
});

test('a bus that does not take the user, or is not there, says so', async () => {
  bus.greeting = 'REJECTED EXTERNAL\r\n';
  await expect(open()).rejects.toThrow(/REJECTED/);
  const nobody = { signal: () => undefined, close: () => undefined };
  await expect(DbusConnection.open(`${bus.socket}-of-nobody`, nobody, never)).rejects.toThrow(/ENOENT/);
});
