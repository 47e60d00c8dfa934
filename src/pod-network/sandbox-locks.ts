/** One operation at a time for each sandbox, in the order of arrival; different sandboxes never wait. */
export class SandboxLocks {
  readonly #tails = new Map<string, Promise<void>>();

  async run<T>(sandboxId: string, operation: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(sandboxId) ?? Promise.resolve();
    const { promise: done, resolve: release } = Promise.withResolvers<void>();
    const tail = before.then(() => done);
    this.#tails.set(sandboxId, tail);
    await before;
    try {
      return await operation();
    } finally {
      release();
      if (this.#tails.get(sandboxId) === tail) this.#tails.delete(sandboxId);
    }
  }
}
