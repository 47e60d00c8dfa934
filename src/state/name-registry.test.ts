import { expect, test, vi } from 'vitest';
import { fingerprint } from './fingerprint.ts';
import { NameRegistry } from './name-registry.ts';

const never = new AbortController().signal;
const conflict = { code: 'NAME_CONFLICT' };

test('a retry joins the call in flight and gets its result', async () => {
  const names = new NameRegistry();
  const gate = Promise.withResolvers<void>();
  const make = vi.fn(() => gate.promise);
  const first = names.make('n', '1', 'same', never, make);
  const second = names.make('n', '2', 'same', never, make);
  gate.resolve();
  expect(await Promise.all([first, second])).toEqual(['1', '1']);
  expect(make).toHaveBeenCalledExactlyOnceWith('1');
  expect(names.holder('n')).toBe('1');
});

test('another request under the name of a call in flight is a conflict that names the holder', async () => {
  const names = new NameRegistry();
  const gate = Promise.withResolvers<void>();
  const first = names.make('n', '1', 'same', never, () => gate.promise);
  await expect(names.make('n', '2', 'other', never, () => gate.promise)).rejects.toMatchObject({ ...conflict, message: expect.stringContaining('"n" belongs to 1') as string });
  gate.resolve();
  await first;
});

test('once the result has been delivered the same request is a conflict', async () => {
  const names = new NameRegistry();
  await names.make('n', '1', 'same', never, () => Promise.resolve());
  await expect(names.make('n', '2', 'same', never, () => Promise.resolve())).rejects.toMatchObject(conflict);
});

test('a result that nobody waited for is given to the retry, once', async () => {
  const names = new NameRegistry();
  const controller = new AbortController();
  const gate = Promise.withResolvers<void>();
  const first = names.make('n', '1', 'same', controller.signal, () => gate.promise);
  controller.abort(new Error('client gone'));
  await expect(first).rejects.toThrow('client gone');
  gate.resolve();
  await gate.promise;
  const make = vi.fn(() => Promise.resolve());
  expect(await names.make('n', '2', 'same', never, make)).toBe('1');
  expect(make).not.toHaveBeenCalled();
  await expect(names.make('n', '3', 'same', never, make)).rejects.toMatchObject(conflict);
});

test('a failure is told to everybody who waits, and frees the name', async () => {
  const names = new NameRegistry();
  const gate = Promise.withResolvers<void>();
  const calls = [names.make('n', '1', 'same', never, () => gate.promise), names.make('n', '2', 'same', never, () => gate.promise)];
  gate.reject(new Error('no address'));
  for (const outcome of await Promise.allSettled(calls)) expect(outcome).toMatchObject({ status: 'rejected', reason: { message: 'no address' } });
  expect(names.holder('n')).toBeUndefined();
  expect(await names.make('n', '3', 'other', never, () => Promise.resolve())).toBe('3');
});

test('a failure that nobody waits for is no unhandled rejection, and the name is free', async () => {
  const names = new NameRegistry();
  const gone = AbortSignal.abort(new Error('client gone'));
  await expect(names.make('n', '1', 'same', gone, () => Promise.reject(new Error('no address')))).rejects.toThrow('client gone');
  await new Promise((resolve) => setImmediate(resolve));
  expect(names.holder('n')).toBeUndefined();
});

test('names of objects that exist are claimed by the first, and released by their holder alone', async () => {
  const names = new NameRegistry();
  expect([names.claim('n', '1'), names.claim('n', '1'), names.claim('n', '2')]).toEqual([true, true, false]);
  names.release('n', '2');
  await expect(names.make('n', '3', 'same', never, () => Promise.resolve())).rejects.toMatchObject(conflict);
  names.release('n', '1');
  expect(await names.make('n', '3', 'same', never, () => Promise.resolve())).toBe('3');
});

test('the fingerprint does not depend on the order of a map, but on everything else', () => {
  const request = { labels: { a: '1', b: '2' }, args: ['x', 'y'], value: Buffer.from('v') };
  expect(fingerprint({ value: Buffer.from('v'), args: ['x', 'y'], labels: { b: '2', a: '1' } })).toBe(fingerprint(request));
  for (const other of [{ labels: { a: '1', b: '3' } }, { args: ['y', 'x'] }, { value: Buffer.from('w') }, { labels: { a: '1' } }]) {
    expect(fingerprint({ ...request, ...other })).not.toBe(fingerprint(request));
  }
});
