/**
 * Answers one endpoint's authentication challenges for one repository, and keeps the answer for the
 * requests that follow. Requests that are refused at the same time share one new token; later pulls with the
 * same credentials begin with it.
 */

import type { Endpoint } from './endpoint.ts';
import type { Challenge } from './challenge.ts';
import { basicHeader } from './credentials.ts';
import type { Credentials, PullAuth } from './credentials.ts';
import { protocolError } from './descriptor.ts';
import { RegistryFailure } from './failure.ts';
import { tokenKey } from './token-cache.ts';
import type { TokenCache } from './token-cache.ts';
import type { TokenRequest, TokenSource } from './token-server.ts';

export interface TokenParts {
  readonly source: TokenSource;
  readonly cache: TokenCache;
}

/** What a token is asked for (distribution spec "token scope"). */
export interface Scope {
  /** e.g. `repository:library/busybox:pull`. */
  readonly wanted: readonly string[];
  /** False: what a challenge names counts instead. True: it is asked for in addition. */
  readonly always: boolean;
}

export class Authorizer {
  readonly #endpoint: Endpoint;
  readonly #credentials: Credentials | undefined;
  readonly #scope: Scope;
  readonly #tokens: TokenParts;
  readonly #key: string;
  #header: string | undefined;
  #renewal: Promise<string> | undefined;

  constructor(endpoint: Endpoint, scope: Scope, auth: PullAuth | undefined, tokens: TokenParts) {
    this.#endpoint = endpoint;
    this.#credentials = credentialsFor(endpoint, auth);
    this.#scope = scope;
    this.#tokens = tokens;
    this.#key = tokenKey(endpoint, scope.wanted.join(' '), this.#credentials);
  }

  /** The Authorization header to send, undefined before the first challenge and without a token of an earlier pull. */
  get header(): string | undefined {
    this.#header ??= this.#cached;
    return this.#header;
  }

  get #cached(): string | undefined {
    const token = this.#tokens.cache.get(this.#key);
    return token === undefined ? undefined : `Bearer ${token}`;
  }

  /**
   * Prepares another attempt after a 401 to a request that was sent with `used`. False: there is
   * nothing better to offer.
   */
  async answer(challenges: readonly Challenge[], used: string | undefined, signal: AbortSignal): Promise<boolean> {
    if (this.#header !== used) return true;
    const fixed = this.#fixedHeader(challenges);
    if (fixed !== undefined) {
      this.#header = fixed;
      return fixed !== used;
    }
    const bearer = challenges.find((challenge) => challenge.scheme === 'bearer');
    if (bearer === undefined || this.#credentials?.kind === 'registry') return false;
    const byOthers = this.#cached;
    if (byOthers !== undefined && byOthers !== used) {
      this.#header = byOthers;
      return true;
    }
    this.#renewal ??= this.#renew(bearer, signal).finally(() => {
      this.#renewal = undefined;
    });
    this.#header = `Bearer ${await this.#renewal}`;
    return true;
  }

  async #renew(challenge: Challenge, signal: AbortSignal): Promise<string> {
    const { source, cache } = this.#tokens;
    const request = this.#tokenRequest(challenge);
    const asked = cache.now();
    const token = await source(request, signal);
    cache.put(this.#key, token, asked);
    return token.value;
  }

  #fixedHeader(challenges: readonly Challenge[]): string | undefined {
    const offers = (scheme: string): boolean => challenges.some((challenge) => challenge.scheme === scheme);
    if (this.#credentials?.kind === 'registry' && offers('bearer')) return `Bearer ${this.#credentials.token}`;
    if (this.#credentials?.kind !== 'basic' || offers('bearer') || !offers('basic')) return undefined;
    return basicHeader(this.#credentials.username, this.#credentials.password);
  }

  #tokenRequest(challenge: Challenge): TokenRequest {
    const { realm, service, scope } = challenge.parameters;
    const { origin, host } = this.#endpoint;
    if (realm === undefined || !URL.canParse(realm)) throw protocolError(host, 'its challenge names no token server');
    const url = new URL(realm);
    const allowed = url.protocol === 'https:' || (url.protocol === 'http:' && origin.startsWith('http:'));
    if (!allowed) {
      throw new RegistryFailure('REGISTRY_DENIED', `${host} wants a token from ${url.origin}, which is not https`);
    }
    return { url, service: service ?? '', scope: this.#scopeFor(scope), credentials: this.#credentials };
  }

  #scopeFor(challenged: string | undefined): string {
    const { wanted, always } = this.#scope;
    if (challenged !== undefined && !always) return challenged;
    return joinScopes([...wanted, ...(challenged?.split(' ') ?? [])]);
  }
}

/** One entry for each object, with the actions of all. */
export function joinScopes(scopes: readonly string[]): string {
  const objects = new Map<string, Set<string>>();
  for (const scope of scopes) {
    const [, object, actions] = /^(.+):([^:]+)$/.exec(scope) ?? [];
    if (object === undefined || actions === undefined) continue;
    const known = objects.get(object) ?? new Set();
    for (const action of actions.split(',')) known.add(action);
    objects.set(object, known);
  }
  return [...objects].map(([object, actions]) => `${object}:${[...actions].join(',')}`).join(' ');
}

/** Credentials that name a server go to that server alone. */
export function credentialsFor(endpoint: Endpoint, auth: PullAuth | undefined): Credentials | undefined {
  if (auth === undefined) return undefined;
  if (auth.serverHost !== '') return auth.serverHost === endpoint.host ? auth.credentials : undefined;
  return endpoint.trustedWithCredentials ? auth.credentials : undefined;
}
