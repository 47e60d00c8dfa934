import { expect, test } from 'vitest';
import { KeyedLock, untilAborted } from './keyed-lock.ts';

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

test('work on one key is done one after another in order, on different keys at once', async () => {
  const lock = new KeyedLock();
  const gate = Promise.withResolvers<void>();
  const done: string[] = [];
  const held = lock.run('a', undefined, async () => {
    await gate.promise;
    done.push('a1');
  });
  const next = [2, 3].map((number) => lock.run('a', undefined, async () => void done.push(`a${number}`)));
  await lock.run('b', undefined, async () => void done.push('b'));
  expect(done).toEqual(['b']);
  gate.resolve();
  await Promise.all([held, ...next]);
  expect(done).toEqual(['b', 'a1', 'a2', 'a3']);
});

test('a failure is its own and frees the key', async () => {
  const lock = new KeyedLock();
  const failed = lock.run('a', undefined, () => Promise.reject(new Error('mine')));
  const next = lock.run('a', undefined, () => Promise.resolve('fine'));
  await expect(failed).rejects.toThrow('mine');
  expect(await next).toBe('fine');
});

test('who gives up waiting never runs and holds up nobody, nor lets anybody past', async () => {
  const lock = new KeyedLock();
  const gate = Promise.withResolvers<void>();
  const controller = new AbortController();
  let running = true;
  const held = lock.run('a', undefined, async () => {
    await gate.promise;
    running = false;
  });
  const given = lock.run('a', controller.signal, () => Promise.reject(new Error('it ran')));
  const last = lock.run('a', undefined, () => Promise.resolve(running));
  controller.abort(new Error('enough'));
  await expect(given).rejects.toThrow('enough');
  await turn();
  gate.resolve();
  expect(await last).toBe(false);
  await held;
});

test('work that has begun is not stopped by its signal', async () => {
  const controller = new AbortController();
  const result = new KeyedLock().run('a', controller.signal, async () => {
    controller.abort();
    await turn();
    return 'done';
  });
  expect(await result).toBe('done');
});

test('keys leave nothing behind', async () => {
  const lock = new KeyedLock();
  await Promise.allSettled([
    lock.run('a', undefined, turn),
    lock.run('a', AbortSignal.abort(new Error('enough')), turn),
    lock.run('b', undefined, () => Promise.reject(new Error('mine'))),
  ]);
  await turn();
  expect(lock.size).toBe(0);
});

test('untilAborted gives the value, the failure, or the reason, and leaves no listener', async () => {
  const controller = new AbortController();
  expect(await untilAborted(Promise.resolve(1), controller.signal)).toBe(1);
  await expect(untilAborted(Promise.reject(new Error('mine')), controller.signal)).rejects.toThrow('mine');
  const waiting = untilAborted(new Promise(() => undefined), controller.signal);
  controller.abort(new Error('enough'));
  await expect(waiting).rejects.toThrow('enough');
  await expect(untilAborted(Promise.reject(new Error('unheard')), controller.signal)).rejects.toThrow('enough');
});
