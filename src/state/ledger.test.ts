import { pino } from 'pino';
import { expect, test, vi } from 'vitest';
import { releaseEntries } from './ledger.ts';
import type { LedgerEntry } from './ledger.ts';
import { allSettled } from './settled.ts';

const log = pino({ level: 'silent' });

test('releases in reverse, tries every one, and keeps what failed in ledger order', async () => {
  const tried: LedgerEntry[] = [];
  const { left, errors } = await releaseEntries(['image', 'directory', 'cgroup', 'shim'], async (entry) => {
    tried.push(entry);
    if (entry === 'cgroup' || entry === 'image') throw new Error(entry);
  }, log);
  expect(tried).toEqual(['shim', 'cgroup', 'directory', 'image']);
  expect(left).toEqual(['image', 'cgroup']);
  expect(errors.map((error) => (error as Error).message)).toEqual(['cgroup', 'image']);
});

test('a release that hangs, deaf to its signal, does not keep the others from their turn', async () => {
  const limit = new AbortController();
  const timeout = vi.spyOn(AbortSignal, 'timeout').mockReturnValueOnce(limit.signal);
  const released = releaseEntries(['directory', 'shim'], (entry) => (entry === 'shim' ? new Promise(() => undefined) : Promise.resolve()), log);
  limit.abort(new Error('too long'));
  expect((await released).left).toEqual(['shim']);
  timeout.mockRestore();
});

test('allSettled waits for everybody and throws the first failure', async () => {
  const gate = Promise.withResolvers<void>();
  let slow = false;
  const all = allSettled([Promise.reject(new Error('first')), gate.promise.then(() => { slow = true; })]);
  gate.resolve();
  await expect(all).rejects.toThrow('first');
  expect(slow).toBe(true);
  await allSettled([]);
});
