/** Single requests to an endpoint: authentication as it is asked for, refusals as errors of the catalogue. */

import type { Authorizer } from './authorizer.ts';
import { readBody } from './body.ts';
import { parseChallenges } from './challenge.ts';
import type { Endpoint } from './endpoint.ts';
import { errorDetail, failureOfStatus, failureOfTransport } from './failure.ts';
import type { RegistryFailure } from './failure.ts';
import { parseRetryAfter } from './retry.ts';
import type { HttpBody, HttpRequest, HttpResponse, Transport } from './transport.ts';

export interface ExchangeRequest {
  readonly url: URL;
  readonly method?: HttpRequest['method'];
  readonly headers?: HttpRequest['headers'];
  readonly body?: HttpBody | undefined;
  readonly patience?: HttpRequest['patience'];
  /** Names the object in errors. */
  readonly what: string;
  /** Status codes that are no refusal. */
  readonly success: ReadonlySet<number>;
  readonly signal: AbortSignal;
}

const maxErrorBytes = 64 * 1024;

export class Exchange {
  readonly #transport: Transport;
  readonly #endpoint: Endpoint;
  readonly #authorizer: Authorizer | undefined;

  /** Without an authorizer nothing is proved to anybody. */
  constructor(transport: Transport, endpoint: Endpoint, authorizer: Authorizer | undefined) {
    this.#transport = transport;
    this.#endpoint = endpoint;
    this.#authorizer = authorizer;
  }

  /**
   * One request, with as many authentication rounds as a first challenge and an expired token need; its body is made
   * anew for each. Throws a RegistryFailure.
   */
  async attempt(request: ExchangeRequest): Promise<HttpResponse> {
    const { url, method = 'GET', headers = {}, body, patience, what, success, signal } = request;
    for (let rounds = 0; ; rounds += 1) {
      // A URL that the registry gave may be another server's, which the credentials are not for.
      const authorization = url.origin === this.#endpoint.origin ? this.#authorizer?.header : undefined;
      const response = await this.#send({ url, method, headers, body, patience, authorization, signal }, what);
      if (success.has(response.status)) return response;
      const failure = await this.#refusal(response, what, signal);
      // Another server's challenge, behind a redirect, is none of ours (CVE-2020-15157).
      if (response.status !== 401 || !response.fromEndpoint || this.#authorizer === undefined || rounds === 2) throw failure;
      const challenges = response.challenges.flatMap(parseChallenges);
      if (!(await this.#authorizer.answer(challenges, authorization, signal))) throw failure;
    }
  }

  async #send(request: HttpRequest, what: string): Promise<HttpResponse> {
    try {
      return await this.#transport.send(request);
    } catch (cause) {
      throw failureOfTransport(what, this.#endpoint.host, cause, request.signal);
    }
  }

  /** Reads the error document, which also frees the connection for the next request. */
  async #refusal(response: HttpResponse, what: string, signal: AbortSignal): Promise<RegistryFailure> {
    const body = await readBody(response.body, maxErrorBytes, what, signal).catch(() => Buffer.alloc(0));
    signal.throwIfAborted();
    const retryAfter = parseRetryAfter(response.headers['retry-after'], Date.now());
    return failureOfStatus(what, this.#endpoint.host, response.status, errorDetail(body.toString('utf8')), retryAfter);
  }
}
