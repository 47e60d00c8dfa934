/**
 * Answers one endpoint's authentication challenges for one repository, and keeps the answer for the
 * requests that follow. Requests that are refused at the same time share one new token.
 */

import type { Endpoint } from './endpoint.ts';
import type { Challenge } from './challenge.ts';
import { basicHeader } from './credentials.ts';
import type { Credentials, PullAuth } from './credentials.ts';
import { protocolError } from './descriptor.ts';
import { RegistryFailure } from './failure.ts';
import type { TokenRequest, TokenSource } from './token-server.ts';

export class Authorizer {
  readonly #endpoint: Endpoint;
  readonly #credentials: Credentials | undefined;
  readonly #scope: string;
  readonly #tokens: TokenSource;
  #header: string | undefined;
  #renewal: Promise<string> | undefined;

  constructor(endpoint: Endpoint, repository: string, auth: PullAuth | undefined, tokens: TokenSource) {
    this.#endpoint = endpoint;
    this.#credentials = credentialsFor(endpoint, auth);
    this.#scope = `repository:${repository}:pull`;
    this.#tokens = tokens;
  }

  /** The Authorization header to send, undefined before the first challenge. */
  get header(): string | undefined {
    return this.#header;
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
    this.#renewal ??= this.#tokens(this.#tokenRequest(bearer), signal).finally(() => {
      this.#renewal = undefined;
    });
    this.#header = `Bearer ${await this.#renewal}`;
    return true;
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
    return { url, service: service ?? '', scope: scope ?? this.#scope, credentials: this.#credentials };
  }
}

/** Credentials that name a server go to that server alone. */
function credentialsFor(endpoint: Endpoint, auth: PullAuth | undefined): Credentials | undefined {
  if (auth === undefined) return undefined;
  if (auth.serverHost !== '') return auth.serverHost === endpoint.host ? auth.credentials : undefined;
  return endpoint.trustedWithCredentials ? auth.credentials : undefined;
}
