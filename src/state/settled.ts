/**
 * Like Promise.all, but waits for every one also when one fails, and then throws the first failure: what
 * still runs would otherwise race with the undoing of what it makes.
 */
export async function allSettled(work: readonly Promise<unknown>[]): Promise<void> {
  for (const outcome of await Promise.allSettled(work)) {
    if (outcome.status === 'rejected') throw outcome.reason;
  }
}
