import PQueue from 'p-queue';
import { expect, test } from 'vitest';
import { observed, queued, step, type StepObserver } from './steps.ts';

/** Writes down where each step began, below which, and how it ended. */
function recorder(lines: string[], path = ''): StepObserver {
  return {
    begin(name) {
      const here = `${path}/${name}`;
      return { inner: recorder(lines, here), end: (error) => lines.push(`${here} ${error === undefined ? 'ok' : (error as Error).message}`) };
    },
  };
}

test('a step belongs to the call and the step that it is part of', async () => {
  const lines: string[] = [];
  await observed(recorder(lines), () => step('sandbox.network', async () => {
    await step('network.plugin', () => Promise.resolve());
    return step('network.plugin', () => Promise.reject(new Error('no address'))).catch(() => undefined);
  }));
  expect(lines).toEqual(['/sandbox.network/network.plugin ok', '/sandbox.network/network.plugin no address', '/sandbox.network ok']);
});

test('outside of a call the work is done all the same', async () => {
  expect(await step('container.start', () => Promise.resolve(5))).toBe(5);
  await expect(step('container.start', () => Promise.reject(new Error('gone')))).rejects.toThrow('gone');
});

test('work that waits in a queue stays with its own call, whoever frees its place', async () => {
  const queue = new PQueue({ concurrency: 1 });
  const seen = { a: [] as string[], b: [] as string[] };
  const call = (name: 'a' | 'b'): Promise<void> => observed(recorder(seen[name]), () =>
    queued(queue, 'container.queue', () => step('container.launch', () => new Promise<void>((resolve) => void setImmediate(resolve)))));
  await Promise.all([call('a'), call('b')]);
  expect(seen).toEqual({ a: ['/container.queue ok', '/container.launch ok'], b: ['/container.queue ok', '/container.launch ok'] });
});

test('a failure in a queue is its caller\'s', async () => {
  const queue = new PQueue({ concurrency: 1 });
  await expect(observed(recorder([]), () => queued(queue, 'sandbox.queue', () => Promise.reject(new Error('no place'))))).rejects.toThrow('no place');
});
