import { setImmediate as nextTurn } from 'node:timers/promises';

/** How long a call may hold the event loop at a time, in ms. */
const longest = 5;

/** Maps in order, letting other calls have their turn in between. */
export async function mapInSlices<T, U>(items: readonly T[], signal: AbortSignal, map: (item: T) => U): Promise<U[]> {
  const results: U[] = [];
  let began = performance.now();
  for (const item of items) {
    results.push(map(item));
    if (performance.now() - began < longest) continue;
    await nextTurn();
    signal.throwIfAborted();
    began = performance.now();
  }
  return results;
}
