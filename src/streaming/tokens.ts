import { randomBytes } from 'node:crypto';
import { BerthError } from '../errors/catalogue.ts';
import type { Clock } from '../telemetry/clock.ts';

/** 256 bits: nobody guesses one within its minute. */
const tokenBytes = 32;

export interface TokenOptions {
  /** Of tokens issued and not used. */
  readonly maxPending: number;
  readonly lifetimeMs: number;
  readonly clock: Clock;
}

interface Pending<Value> {
  readonly value: Value;
  /** Nanoseconds since the epoch. */
  readonly expiresAt: bigint;
}

/** What each token stands for, until it is taken or has expired. */
export class Tokens<Value> {
  readonly #options: TokenOptions;
  /** All live equally long, so the oldest come first. */
  readonly #pending = new Map<string, Pending<Value>>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: TokenOptions) {
    this.#options = options;
  }

  /** Of tokens that could still be used. */
  get size(): number {
    this.#dropExpired();
    return this.#pending.size;
  }

  /** Throws STREAMS_EXHAUSTED. */
  issue(value: Value): string {
    const { maxPending, lifetimeMs, clock } = this.#options;
    if (this.size >= maxPending) {
      throw new BerthError('STREAMS_EXHAUSTED', `${maxPending} streaming URLs have been given out and not been used within the last minute`);
    }
    const token = randomBytes(tokenBytes).toString('base64url');
    this.#pending.set(token, { value, expiresAt: clock.nowNanos() + BigInt(lifetimeMs) * 1_000_000n });
    this.#timer ??= setInterval(() => this.#dropExpired(), lifetimeMs).unref();
    return token;
  }

  /** Looks without using it up. */
  peek(token: string): Value | undefined {
    this.#dropExpired();
    return this.#pending.get(token)?.value;
  }

  /** Uses it up: the second time there is nothing. */
  take(token: string): Value | undefined {
    const value = this.peek(token);
    this.#pending.delete(token);
    return value;
  }

  close(): void {
    this.#pending.clear();
    this.#dropExpired();
  }

  #dropExpired(): void {
    const now = this.#options.clock.nowNanos();
    for (const [token, { expiresAt }] of this.#pending) {
      if (expiresAt > now) break;
      this.#pending.delete(token);
    }
    if (this.#pending.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
