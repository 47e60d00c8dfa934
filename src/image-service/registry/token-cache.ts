/**
 * Bearer tokens for as long as they are good, shared by all pulls. A token is found again only under the
 * very server, scope and credentials that it was given for: one pull never rides on another's rights.
 */

import { createHash } from 'node:crypto';
import type { Clock } from '../../telemetry/clock.ts';
import type { Credentials } from './credentials.ts';
import type { Endpoint } from './endpoint.ts';

export interface Token {
  readonly value: string;
  /** Milliseconds for which it is good, from when it was asked for. */
  readonly lifetime: number;
}

/** A token that is about to expire would do so on its way. */
const usedPart = 0.8;
/** Tokens kept at once; some kilobytes each at the worst. */
const maxEntries = 1000;

export class TokenCache {
  readonly #clock: Clock;
  /** The oldest first. */
  readonly #entries = new Map<string, { readonly value: string; readonly end: bigint }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get(key: string): string | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    if (entry.end > this.#clock.nowNanos()) return entry.value;
    this.#entries.delete(key);
    return undefined;
  }

  /** `asked`: the clock's time when the token was asked for. */
  put(key: string, token: Token, asked: bigint): void {
    this.#entries.delete(key);
    this.#entries.set(key, { value: token.value, end: asked + BigInt(Math.floor(token.lifetime * usedPart)) * 1_000_000n });
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= maxEntries) break;
      this.#entries.delete(oldest);
    }
  }

  now(): bigint {
    return this.#clock.nowNanos();
  }
}

/** Holds no secret: the credentials are in it as a digest. */
export function tokenKey(endpoint: Endpoint, scope: string, credentials: Credentials | undefined): string {
  const proof = createHash('sha256').update(JSON.stringify(credentials ?? null)).digest('hex');
  return JSON.stringify([endpoint.origin, endpoint.basePath, scope, proof]);
}
