/**
 * Places for work, shared out fairly: who wants many at once does not keep others waiting.
 *
 * A free place goes to the owner that holds the fewest; among equals, to one that has had none yet, then to the
 * one served longest ago. No owner holds more than `perOwner`, and the last free place goes only to an owner that
 * has none, so that one who comes while another's long work is under way need not wait for its end.
 */

export interface SlotBounds {
  /** Over all owners. */
  readonly total: number;
  readonly perOwner: number;
}

interface Owner {
  running: number;
  /** When it was given a place last, counted in places; 0: not yet. */
  served: number;
  /** Each gives a place away; in the order in which they came. */
  readonly waiting: Set<() => void>;
}

export class FairSlots {
  readonly #bounds: SlotBounds;
  /** Who holds or wants a place, in the order in which they came. */
  readonly #owners = new Map<string, Owner>();
  #running = 0;
  #given = 0;

  constructor(bounds: SlotBounds) {
    this.#bounds = bounds;
  }

  /** Waits for a place. The answer gives it back, once; an abort of `signal` counts only as long as it waits. */
  async acquire(owner: string, signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const entry = this.#entry(owner);
    const cancel = (): void => {
      entry.waiting.delete(resolve);
      this.#forget(owner, entry);
      reject(signal.reason as Error);
    };
    signal.addEventListener('abort', cancel, { once: true });
    entry.waiting.add(resolve);
    this.#grant();
    try {
      await promise;
    } finally {
      signal.removeEventListener('abort', cancel);
    }
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#release(owner, entry);
    };
  }

  #entry(owner: string): Owner {
    const entry = this.#owners.get(owner) ?? { running: 0, served: 0, waiting: new Set() };
    if (!this.#owners.has(owner)) this.#owners.set(owner, entry);
    return entry;
  }

  #release(owner: string, entry: Owner): void {
    entry.running -= 1;
    this.#running -= 1;
    this.#forget(owner, entry);
    this.#grant();
  }

  #forget(owner: string, entry: Owner): void {
    if (entry.running === 0 && entry.waiting.size === 0) this.#owners.delete(owner);
  }

  #grant(): void {
    while (this.#running < this.#bounds.total) {
      const entry = this.#next();
      const [give] = entry?.waiting ?? [];
      if (entry === undefined || give === undefined) return;
      entry.waiting.delete(give);
      entry.running += 1;
      this.#running += 1;
      this.#given += 1;
      entry.served = this.#given;
      give();
    }
  }

  #next(): Owner | undefined {
    const isLast = this.#running === this.#bounds.total - 1;
    const limit = isLast ? 1 : this.#bounds.perOwner;
    return [...this.#owners.values()]
      .filter(({ running, waiting }) => waiting.size > 0 && running < limit)
      .toSorted((one, other) => one.running - other.running || one.served - other.served)[0];
  }
}
