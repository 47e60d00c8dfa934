/** Repeats what may work the next time: exponential back-off with jitter, or what the server asked for. */

import { setTimeout as sleep } from 'node:timers/promises';
import { RegistryFailure, isAbsentServer } from './failure.ts';

export interface RetryPolicy {
  /** Attempts at one server. */
  readonly attempts: number;
  /** Milliseconds before the second attempt; doubles with each further one. */
  readonly firstDelay: number;
  readonly maxDelay: number;
  /** A longer Retry-After than this is not waited for: the kubelet has a back-off of its own. */
  readonly maxRetryAfter: number;
}

/** From the settings, in milliseconds. */
export function retryPolicy(settings: { readonly attempts: number; readonly retryDelayMilliseconds: number }): RetryPolicy {
  const { attempts, retryDelayMilliseconds: firstDelay } = settings;
  return { attempts, firstDelay, maxDelay: Math.max(firstDelay, 8000), maxRetryAfter: 30_000 };
}

/**
 * `hasAlternative`: another server can be asked, so one that is not there at all is given up at once.
 */
export async function withRetries<T>(
  policy: RetryPolicy,
  hasAlternative: boolean,
  signal: AbortSignal,
  attempt: () => Promise<T>,
): Promise<T> {
  for (let failures = 0; ; ) {
    try {
      return await attempt();
    } catch (failure) {
      failures += 1;
      const delay = retryDelay(policy, failures, failure, hasAlternative);
      if (delay === undefined) throw failure;
      await sleep(delay, undefined, { signal });
    }
  }
}

/** Milliseconds to wait after the n-th failure in a row; undefined: give up. */
export function retryDelay(policy: RetryPolicy, failures: number, failure: unknown, hasAlternative: boolean): number | undefined {
  if (!(failure instanceof RegistryFailure) || !failure.transient || failures >= policy.attempts) return undefined;
  if (hasAlternative && isAbsentServer(failure)) return undefined;
  if (failure.retryAfter !== undefined) return failure.retryAfter <= policy.maxRetryAfter ? failure.retryAfter : undefined;
  const ceiling = Math.min(policy.maxDelay, policy.firstDelay * 2 ** (failures - 1));
  return ceiling / 2 + Math.random() * (ceiling / 2);
}

/** Retry-After in seconds or as a date (RFC 9110 section 10.2.3), in milliseconds from now. */
export function parseRetryAfter(header: string | undefined, now: number): number | undefined {
  if (header === undefined) return undefined;
  if (/^[0-9]{1,9}$/.test(header)) return Number(header) * 1000;
  // Date.parse takes nearly anything for a date; HTTP's begin with the day of the week.
  const date = /^[A-Za-z]{3,9},? /.test(header) ? Date.parse(header) : Number.NaN;
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
