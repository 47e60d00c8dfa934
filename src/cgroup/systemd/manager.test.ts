import { afterEach, beforeEach, expect, test } from 'vitest';
import type { DbusMessage } from './dbus/message.ts';
import { variant } from './dbus/value.ts';
import { connectSystemd, isNamed, unitExists } from './manager.ts';
import type { SystemdManager } from './manager.ts';
import { FakeBus } from './testing/fake-bus.ts';

let bus: FakeBus;
let manager: SystemdManager;
let calls: DbusMessage[];
/** How the next jobs end; `none` for one that does not. */
let results: string[];
const never = new AbortController().signal;
const place = { path: '/org/freedesktop/systemd1', interface: 'org.freedesktop.systemd1.Manager', member: 'JobRemoved' };

beforeEach(async () => {
  bus = await FakeBus.start();
  manager = connectSystemd(bus.socket);
  calls = [];
  results = [];
  bus.onCall = answer;
});
afterEach(async () => {
  manager.close();
  await bus.stop();
});

function answer(call: DbusMessage): void {
  if (['AddMatch', 'Subscribe'].includes(call.member)) return bus.reply(call);
  calls.push(call);
  if (call.member === 'SetUnitProperties') return bus.reply(call);
  const job = `/job/${calls.length}`;
  const unit = call.body[0] as string;
  const result = results.shift() ?? 'done';
  // Of another unit, and of the same one before.
  bus.signal(place, 'uoss', [1, job, 'other.scope', 'failed']);
  bus.signal(place, 'uoss', [1, '/job/of/before', unit, 'canceled']);
  bus.reply(call, 'o', [job]);
  if (result !== 'none') bus.signal(place, 'uoss', [1, job, unit, result]);
}

const scope = { name: 'cri-berth-1.scope', slice: 'kubepods-pod1.slice', pid: 77, description: 'a container' };

test('a scope is delegated, holds its process, and is there when its job is done', async () => {
  await manager.startScope(scope, never);
  const [name, mode, properties] = calls[0]?.body ?? [];
  expect([calls[0]?.member, name, mode]).toEqual(['StartTransientUnit', scope.name, 'fail']);
  expect(properties).toEqual(expect.arrayContaining([
    ['Slice', variant('s', 'kubepods-pod1.slice')], ['PIDs', variant('au', [77])], ['Delegate', variant('b', true)],
    ['TasksMax', variant('t', 2n ** 64n - 1n)],
  ]));
});

test.each(['failed', 'timeout', 'canceled', 'dependency'])('a job that ends with "%s" is an error', async (result) => {
  results = [result];
  await expect(manager.startScope(scope, never)).rejects.toMatchObject({ code: 'CGROUP_FAILED', message: expect.stringContaining(result) as string });
});

test('the end of a job may be told before its name', async () => {
  bus.onCall = (call) => {
    if (call.member !== 'StopUnit') return answer(call);
    bus.signal(place, 'uoss', [1, '/job/early', 'a.slice', 'done']);
    bus.reply(call, 'o', ['/job/early']);
  };
  await manager.stopUnit('a.slice', never);
});

test('a unit that is gone has been stopped; one that exists cannot be made', async () => {
  bus.onCall = (call) => {
    if (call.member === 'StopUnit') bus.refuse(call, 'org.freedesktop.systemd1.NoSuchUnit', 'not loaded');
    else if (call.member === 'StartTransientUnit') bus.refuse(call, unitExists, 'it exists');
    else answer(call);
  };
  await manager.stopUnit('a.slice', never);
  const made = manager.startScope(scope, never);
  await expect(made).rejects.toMatchObject({ code: 'CGROUP_FAILED', message: expect.stringContaining('it exists') as string });
  expect(isNamed(await made.catch((error: unknown) => error), unitExists)).toBe(true);
});

test('a slice that is there already is started', async () => {
  bus.onCall = (call) => (call.member === 'StartTransientUnit' ? bus.refuse(call, unitExists, 'it exists') : answer(call));
  await manager.startSlice('berth.slice', never);
  expect(calls.map(({ member, body }) => [member, ...body])).toEqual([['StartUnit', 'berth.slice', 'fail']]);
});

test('properties are set until the next boot; none takes no call', async () => {
  await manager.setProperties('a.slice', [['MemoryMax', variant('t', 1n)]], never);
  await manager.setProperties('a.slice', [], never);
  expect(calls.map(({ member, body }) => [member, ...body])).toEqual([['SetUnitProperties', 'a.slice', true, [['MemoryMax', variant('t', 1n)]]]]);
});

test('a job whose bus goes away is an error, and the next call finds the bus again', async () => {
  results = ['none'];
  const started = manager.startScope(scope, never);
  await expect.poll(() => calls.length).toBe(1);
  bus.drop();
  await expect(started).rejects.toMatchObject({ code: 'SYSTEMD_UNAVAILABLE' });
  await manager.stopUnit('a.slice', never);
});

test('a job that nobody waits for any more ends with the signal', async () => {
  results = ['none'];
  const controller = new AbortController();
  const started = manager.startScope(scope, controller.signal);
  await expect.poll(() => calls.length).toBe(1);
  controller.abort(new Error('enough'));
  await expect(started).rejects.toThrow('enough');
});

test('no bus is said to be none, with what to do', async () => {
  const lost = connectSystemd(`${bus.socket}-of-nobody`);
  await expect(lost.ping(never)).rejects.toMatchObject({ code: 'SYSTEMD_UNAVAILABLE', message: expect.stringMatching(/of-nobody.*busctl/) as string });
});
