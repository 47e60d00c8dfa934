/** One lock per object: work on one id is done in the order asked for, on different ids at once. */
export class KeyedLock {
  readonly #tails = new Map<string, Promise<void>>();

  /** Keys that somebody holds or waits for. */
  get size(): number {
    return this.#tails.size;
  }

  /**
   * Runs `work` when everything asked for earlier under `key` has ended. When `signal` aborts while
   * still waiting, rejects with its reason and `work` never runs.
   */
  async run<T>(key: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key) ?? Promise.resolve();
    const { promise: done, resolve: release } = Promise.withResolvers<void>();
    const tail = before.then(() => done);
    this.#tails.set(key, tail);
    try {
      await untilAborted(before, signal);
      return await work();
    } finally {
      release();
      tail.then(() => {
        if (this.#tails.get(key) === tail) this.#tails.delete(key);
      }, () => undefined);
    }
  }
}

/** `promise`, or the signal's reason when it aborts first. The promise's work goes on. */
export function untilAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  if (signal.aborted) {
    promise.catch(() => undefined);
    return Promise.reject(signal.reason);
  }
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    const settle = () => signal.removeEventListener('abort', onAbort);
    promise.then((value) => { settle(); resolve(value); }, (error: unknown) => { settle(); reject(error); });
  });
}
