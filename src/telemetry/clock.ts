/** Time as the CRI counts it: nanoseconds since the epoch, exact. */
export interface Clock {
  /** Nanoseconds since 1970-01-01T00:00:00Z. Never runs backwards within a process. */
  nowNanos(): bigint;
}

/** The wall clock at process start, advanced by the monotonic clock's nanoseconds. */
export function systemClock(): Clock {
  let last = 0n;
  return {
    nowNanos() {
      const now = BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)) * 1000n;
      last = now > last ? now : last + 1n;
      return last;
    },
  };
}
