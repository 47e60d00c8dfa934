import { setImmediate as nextTurn } from 'node:timers/promises';

/** How long a call may hold the event loop at a time, in ms. */
const longest = 5;

/** Cuts a long piece of work up, so that other calls have their turn in between. */
export class Slices {
  readonly #signal: AbortSignal;
  #began = performance.now();

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  get over(): boolean {
    return performance.now() - this.#began >= longest;
  }

  /** Gives the others their turn. Rejects when the work is not wanted any more. */
  async pause(): Promise<void> {
    await nextTurn();
    this.#signal.throwIfAborted();
    this.#began = performance.now();
  }
}

/** Maps in order. */
export async function mapInSlices<T, U>(items: readonly T[], signal: AbortSignal, map: (item: T) => U): Promise<U[]> {
  const slices = new Slices(signal);
  const results: U[] = [];
  for (const item of items) {
    results.push(map(item));
    if (slices.over) await slices.pause();
  }
  return results;
}
