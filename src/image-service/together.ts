/** Work on several things at once, of which the first failure ends the others. */

/** The results in the order of `items`. Rejects with the first failure, once all of the work is over. */
export async function together<Item, Result>(
  items: readonly Item[],
  signal: AbortSignal,
  work: (item: Item, position: number, signal: AbortSignal) => Promise<Result>,
): Promise<readonly Result[]> {
  const failed = new AbortController();
  const either = AbortSignal.any([signal, failed.signal]);
  const results = await Promise.allSettled(
    items.map(async (item, position) => {
      try {
        return await work(item, position, either);
      } catch (failure) {
        failed.abort(failure);
        throw failure;
      }
    }),
  );
  signal.throwIfAborted();
  failed.signal.throwIfAborted();
  return results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
}
