import { pino } from 'pino';
import { expect, test } from 'vitest';
import { withCallerLost } from './lost-caller.ts';

async function linesOf(leaves: boolean, work: () => Promise<unknown>): Promise<Record<string, unknown>[]> {
  const lines: Record<string, unknown>[] = [];
  const log = pino({}, { write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>) });
  const caller = new AbortController();
  const outcome = withCallerLost({ signal: caller.signal, log }, 'the creation of a container', async () => {
    if (leaves) caller.abort();
    return work();
  });
  await outcome.catch(() => undefined);
  return lines;
}

test('a failure is logged once its caller has left, with its reason', async () => {
  const [line] = await linesOf(true, () => Promise.reject(new Error('no space')));
  expect(line).toMatchObject({ level: 40, msg: 'the creation of a container failed after its caller had left', err: { message: 'no space' } });
});

test('a caller who waits learns it from the answer, and a success needs no line', async () => {
  expect(await linesOf(false, () => Promise.reject(new Error('no space')))).toEqual([]);
  expect(await linesOf(true, () => Promise.resolve(1))).toEqual([]);
});
