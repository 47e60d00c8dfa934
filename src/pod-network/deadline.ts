/** A time limit of our own joined with the caller's signal, so that the two can be told apart. */
export interface Deadline {
  /** Aborts at the limit or with the caller, whichever comes first. */
  readonly signal: AbortSignal;
  readonly seconds: number;
  /** True when the limit, and not the caller, ended it. */
  expired(): boolean;
}

export function startDeadline(seconds: number, caller?: AbortSignal): Deadline {
  const limit = AbortSignal.timeout(seconds * 1000);
  const signal = caller === undefined ? limit : AbortSignal.any([caller, limit]);
  return { signal, seconds, expired: () => signal.aborted && signal.reason === limit.reason };
}
