import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';
import { WritableLayers } from './writable-layers.ts';

const second = 1_000_000_000n;
let layers: WritableLayers | undefined;
afterEach(() => layers?.close());

function make(measure: (directory: string, signal: AbortSignal) => Promise<{ bytes: number; inodes: number } | undefined>) {
  const clock = { now: 100n * second, nowNanos: () => clock.now };
  layers = new WritableLayers({ measure, clock, log: pino({ level: 'silent' }) });
  return { layers, clock };
}

test('a request gets the last figure; the tree is walked in the background, one at a time', async () => {
  let walking = 0;
  const walked: string[] = [];
  const { layers } = make(async (directory) => {
    expect(++walking).toBe(1);
    await Promise.resolve();
    walking -= 1;
    walked.push(directory);
    return { bytes: 4096, inodes: walked.length };
  });
  for (const id of ['a', 'b']) layers.want(id, () => `/${id}`);
  expect(layers.figure('a')).toBeUndefined();
  await layers.firstFigures(['a', 'b'], 10_000);
  expect(layers.figure('a')).toEqual({ bytes: 4096, inodes: 1, at: 100n * second });
  expect(walked).toEqual(['/a', '/b']);
});

test('a figure that is young enough is not measured again', async () => {
  let walks = 0;
  const { layers, clock } = make(() => Promise.resolve({ bytes: ++walks, inodes: 1 }));
  layers.want('a', () => '/a');
  await layers.firstFigures(['a'], 10_000);
  clock.now += 9n * second;
  layers.want('a', () => '/a');
  layers.want('b', () => '/b');
  await layers.firstFigures(['b'], 10_000);
  expect(walks).toBe(2);
  expect(layers.figure('a')?.bytes).toBe(1);
});

test('nobody waits for a tree that takes long, or cannot be measured', async () => {
  const { layers } = make((directory, signal) => directory === '/broken'
    ? Promise.reject(new Error('EIO'))
    : new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('broken off')))));
  layers.want('broken', () => '/broken');
  layers.want('slow', () => '/slow');
  await layers.firstFigures(['broken', 'slow'], 5);
  expect([layers.figure('broken'), layers.figure('slow')]).toEqual([undefined, undefined]);
});

test('what is gone is forgotten, also while it is being measured', async () => {
  const gate = Promise.withResolvers<void>();
  const { layers } = make(async () => {
    await gate.promise;
    return { bytes: 1, inodes: 1 };
  });
  layers.want('a', () => '/a');
  layers.retain(new Set());
  gate.resolve();
  await layers.firstFigures(['a'], 5);
  await new Promise(setImmediate);
  expect(layers.figure('a')).toBeUndefined();
});
