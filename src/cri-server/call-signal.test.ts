import { once } from 'node:events';
import { expect, test } from 'vitest';
import { createCallSignal } from './call-signal.ts';

test("the client's deadline aborts with DEADLINE and says whose it was", async () => {
  const { signal } = createCallSignal('ListImages', Date.now() + 5, 60);
  await once(signal, 'abort');
  expect(signal.reason).toMatchObject({ code: 'DEADLINE', message: "ListImages: the client's deadline passed" });
});

test('the first cause of an abort is the one that counts', async () => {
  const call = createCallSignal('ListImages', Date.now() + 5, 60);
  call.abort('CANCELLED', 'the client left');
  expect(call.signal.reason).toMatchObject({ code: 'CANCELLED' });
  call.abort('DEADLINE', 'too late');
  expect(call.signal.reason).toMatchObject({ code: 'CANCELLED' });
});

test('a call that is over is not aborted any more', () => {
  const call = createCallSignal('ListImages', Infinity, 0);
  call.done();
  call.abort('CANCELLED', 'the client left');
  expect(call.signal.aborted).toBe(false);
});
