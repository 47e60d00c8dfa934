/** A shorter window would be mostly the noise of single time slices. */
const shortestWindow = 1_000_000_000n;

/** Up to this age, the average since its start is still news about an object that nobody has asked about before. */
const youth = 60_000_000_000n;

interface Entry {
  at: bigint;
  usageMicroseconds: number;
  nanoCores: number | undefined;
}

/**
 * CPU use over a window (nanoseconds of processor time per second) from readings of a growing counter. The
 * window reaches from the last reading that is at least a second old to now; asked again within that second,
 * the answer is the same.
 */
export class CpuWindows {
  readonly #entries = new Map<string, Entry>();

  /** `born`: when the counter was 0, in nanoseconds since the epoch; undefined when that is not known. */
  observe(id: string, usageMicroseconds: number, at: bigint, born: bigint | undefined): number | undefined {
    const entry = this.#entries.get(id);
    if (entry === undefined) {
      const fresh = born !== undefined && at > born && at - born <= youth;
      const nanoCores = fresh ? rate(usageMicroseconds, at - born) : undefined;
      this.#entries.set(id, { at, usageMicroseconds, nanoCores });
      return nanoCores;
    }
    const elapsed = at - entry.at;
    if (elapsed < shortestWindow) return entry.nanoCores;
    const used = usageMicroseconds - entry.usageMicroseconds;
    // A counter that went back belongs to a cgroup made anew under the same name.
    entry.nanoCores = used < 0 ? undefined : rate(used, elapsed);
    entry.at = at;
    entry.usageMicroseconds = usageMicroseconds;
    return entry.nanoCores;
  }

  /** Forgets every object that is not in `ids`. */
  retain(ids: ReadonlySet<string>): void {
    for (const id of this.#entries.keys()) if (!ids.has(id)) this.#entries.delete(id);
  }
}

function rate(microseconds: number, elapsedNanos: bigint): number {
  return Math.round((microseconds * 1e12) / Number(elapsedNanos));
}
