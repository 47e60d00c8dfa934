/** The distribution API (distribution spec 1.1, "Pull") of one endpoint, for one repository. */

import { Authorizer } from './authorizer.ts';
import { readBody } from './body.ts';
import { parseChallenges } from './challenge.ts';
import type { PullAuth } from './credentials.ts';
import { digestOf } from '../digest.ts';
import { manifestAccept } from './descriptor.ts';
import type { Descriptor } from './descriptor.ts';
import type { Endpoint } from './endpoint.ts';
import { RegistryFailure, errorDetail, failureOfStatus, failureOfTransport } from './failure.ts';
import { parseRetryAfter, withRetries } from './retry.ts';
import type { RetryPolicy } from './retry.ts';
import { tokenSource } from './token-server.ts';
import { Transport } from './transport.ts';
import type { HttpRequest, HttpResponse, TransportOptions } from './transport.ts';

export interface Repository {
  /** The reference's registry, told to mirrors. */
  readonly domain: string;
  /** e.g. `library/busybox`. */
  readonly path: string;
}

export interface Document {
  readonly content: Buffer;
  readonly contentType: string;
}

export interface ClientOptions extends TransportOptions {
  readonly retry: RetryPolicy;
  /** Another endpoint comes after this one. */
  readonly hasAlternative: boolean;
}

/** 4 MiB is the least that registries must accept and the most that any sensible manifest needs. */
const maxManifestBytes = 4 * 1024 * 1024;
/** Configs hold one history entry per build step and labels. */
const maxConfigBytes = 8 * 1024 * 1024;
const maxErrorBytes = 64 * 1024;

export class RegistryClient {
  readonly endpoint: Endpoint;
  readonly #repository: Repository;
  readonly #options: ClientOptions;
  readonly #transport: Transport;
  readonly #authorizer: Authorizer;

  constructor(endpoint: Endpoint, repository: Repository, auth: PullAuth | undefined, options: ClientOptions) {
    this.endpoint = endpoint;
    this.#repository = repository;
    this.#options = options;
    this.#transport = new Transport(endpoint, options);
    this.#authorizer = new Authorizer(endpoint, repository.path, auth, tokenSource(this.#transport, options.retry));
  }

  /** `target` is a tag or a digest; a digest is verified. */
  async manifest(target: string, what: string, signal: AbortSignal): Promise<Document> {
    const url = this.#url(`manifests/${target}`);
    return this.#document(url, { accept: [manifestAccept.join(', ')] }, maxManifestBytes, what, signal, (content, response) => {
      const promised = target.includes(':') ? target : response.headers['docker-content-digest'];
      if (promised?.startsWith('sha256:') === true) this.#verify(content, promised, what);
    });
  }

  /** A small blob, such as an image config, with digest and length verified. */
  async smallBlob(descriptor: Descriptor, what: string, signal: AbortSignal): Promise<Buffer> {
    if (descriptor.size > maxConfigBytes) {
      throw new RegistryFailure('REGISTRY_PROTOCOL', `${what}: ${descriptor.size} bytes are more than the ${maxConfigBytes} allowed`);
    }
    const url = this.#url(`blobs/${descriptor.digest}`);
    const { content } = await this.#document(url, {}, maxConfigBytes, what, signal, (received) => {
      this.#verify(received, descriptor.digest, what);
    });
    return content;
  }

  /** One attempt at a blob's bytes from `offset`; `start` is where the answer begins: servers may ignore ranges. */
  async openBlob(
    descriptor: Descriptor,
    offset: number,
    what: string,
    signal: AbortSignal,
  ): Promise<{ readonly start: number; readonly body: HttpResponse['body'] }> {
    const headers: Record<string, string> = offset === 0 ? {} : { range: `bytes=${offset}-${descriptor.size - 1}` };
    const response = await this.#attempt(this.#url(`blobs/${descriptor.digest}`), headers, what, signal);
    const start = response.status === 206 ? rangeStart(response.headers['content-range']) : 0;
    const length = response.headers['content-length'];
    if (start === undefined || start > offset || (length !== undefined && start + Number(length) !== descriptor.size)) {
      response.body.destroy();
      throw new RegistryFailure(
        'DIGEST_MISMATCH',
        `${what}: ${this.endpoint.host} offers ${length ?? 'an unknown number of'} bytes from ${start ?? 'nowhere'}, the manifest says ${descriptor.size}`,
      );
    }
    return { start, body: response.body };
  }

  async close(): Promise<void> {
    await this.#transport.close();
  }

  async #document(
    url: URL,
    headers: HttpRequest['headers'],
    maxBytes: number,
    what: string,
    signal: AbortSignal,
    verify: (content: Buffer, response: HttpResponse) => void,
  ): Promise<Document> {
    return withRetries(this.#options.retry, this.#options.hasAlternative, signal, async () => {
      const response = await this.#attempt(url, headers, what, signal);
      try {
        const content = await readBody(response.body, maxBytes, `${what} from ${this.endpoint.host}`, signal);
        verify(content, response);
        return { content, contentType: response.headers['content-type'] ?? '' };
      } catch (cause) {
        throw failureOfTransport(what, this.endpoint.host, cause, signal);
      }
    });
  }

  /** One request, with as many authentication rounds as a first challenge and an expired token need. */
  async #attempt(url: URL, headers: HttpRequest['headers'], what: string, signal: AbortSignal): Promise<HttpResponse> {
    for (let rounds = 0; ; rounds += 1) {
      const authorization = this.#authorizer.header;
      const response = await this.#send({ url, headers, authorization, signal }, what);
      if (response.status === 200 || response.status === 206) return response;
      const failure = await this.#refusal(response, what, signal);
      // Another server's challenge, behind a redirect, is none of ours (CVE-2020-15157).
      if (response.status !== 401 || !response.fromEndpoint || rounds === 2) throw failure;
      const challenges = response.challenges.flatMap(parseChallenges);
      if (!(await this.#authorizer.answer(challenges, authorization, signal))) throw failure;
    }
  }

  async #send(request: HttpRequest, what: string): Promise<HttpResponse> {
    try {
      return await this.#transport.send(request);
    } catch (cause) {
      throw failureOfTransport(what, this.endpoint.host, cause, request.signal);
    }
  }

  /** Reads the error document, which also frees the connection for the next request. */
  async #refusal(response: HttpResponse, what: string, signal: AbortSignal): Promise<RegistryFailure> {
    const body = await readBody(response.body, maxErrorBytes, what, signal).catch(() => Buffer.alloc(0));
    signal.throwIfAborted();
    const retryAfter = parseRetryAfter(response.headers['retry-after'], Date.now());
    return failureOfStatus(what, this.endpoint.host, response.status, errorDetail(body.toString('utf8')), retryAfter);
  }

  #verify(content: Buffer, digest: string, what: string): void {
    const actual = digestOf(content);
    if (actual === digest) return;
    throw new RegistryFailure('DIGEST_MISMATCH', `${what}: ${this.endpoint.host} sent content with digest ${actual} instead of ${digest}`);
  }

  #url(rest: string): URL {
    const url = new URL(`${this.endpoint.origin}${this.endpoint.basePath}/${this.#repository.path}/${rest}`);
    if (this.endpoint.isMirror) url.searchParams.set('ns', this.#repository.domain);
    return url;
  }
}

function rangeStart(header: string | undefined): number | undefined {
  const start = /^bytes ([0-9]{1,15})-/.exec(header ?? '')?.[1];
  return start === undefined ? undefined : Number(start);
}
