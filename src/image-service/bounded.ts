/** Work bounded by a queue, with a cancellation that is honoured while it waits and by itself while it runs. */

import type PQueue from 'p-queue';

/**
 * The queue's own signal option frees the slot of a task that still runs, so it is given a signal
 * that stops mattering once the task has begun.
 */
export async function runBounded<T>(queue: PQueue, signal: AbortSignal, task: () => Promise<T>): Promise<T> {
  signal.throwIfAborted();
  const waiting = new AbortController();
  const cancelWaiting = (): void => waiting.abort(signal.reason);
  signal.addEventListener('abort', cancelWaiting, { once: true });
  const begun = async (): Promise<T> => {
    signal.removeEventListener('abort', cancelWaiting);
    return task();
  };
  try {
    return await queue.add(begun, { signal: waiting.signal });
  } finally {
    signal.removeEventListener('abort', cancelWaiting);
  }
}

/** Waits for `work`, or only as long as `signal` is not aborted; the work itself goes on. */
export async function waitUnlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason instanceof Error ? signal.reason : new Error(String(signal.reason)));
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
