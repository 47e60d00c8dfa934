/** The distribution API (distribution spec 1.1, "Pull") of one endpoint, for one repository. */

import { Readable } from 'node:stream';
import { Authorizer } from './authorizer.ts';
import { readBody } from './body.ts';
import { requestBlob } from './blob-source.ts';
import type { BlobSource, OpenedBlob } from './blob-source.ts';
import type { PullAuth } from './credentials.ts';
import { digestOf } from '../digest.ts';
import { manifestAccept } from './descriptor.ts';
import type { Descriptor } from './descriptor.ts';
import { decoded, isEncoded } from './encoding.ts';
import type { Endpoint } from './endpoint.ts';
import { Exchange } from './exchange.ts';
import { RegistryFailure, failureOfTransport, isAbsentServer } from './failure.ts';
import { withRetries } from './retry.ts';
import type { RetryPolicy } from './retry.ts';
import type { TokenCache } from './token-cache.ts';
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
  /** Shared by all pulls. */
  readonly tokens: TokenCache;
}

/** 4 MiB is the least that registries must accept and the most that any sensible manifest needs. */
const maxManifestBytes = 4 * 1024 * 1024;
/** Configs hold one history entry per build step and labels. */
const maxConfigBytes = 8 * 1024 * 1024;
const success: ReadonlySet<number> = new Set([200, 206]);

export class RegistryClient implements BlobSource {
  readonly endpoint: Endpoint;
  readonly #repository: Repository;
  readonly #options: ClientOptions;
  readonly #transport: Transport;
  readonly #exchange: Exchange;
  /** That this server could not be reached at all; with others to ask, it is not waited for again. */
  #absence: RegistryFailure | undefined;

  constructor(endpoint: Endpoint, repository: Repository, auth: PullAuth | undefined, options: ClientOptions) {
    this.endpoint = endpoint;
    this.#repository = repository;
    this.#options = options;
    this.#transport = new Transport(endpoint, options);
    const scope = { wanted: [`repository:${repository.path}:pull`], always: false };
    const tokens = { source: tokenSource(this.#transport, options.retry), cache: options.tokens };
    this.#exchange = new Exchange(this.#transport, endpoint, new Authorizer(endpoint, scope, auth, tokens));
  }

  get host(): string {
    return this.endpoint.host;
  }

  /** `target` is a tag or a digest; a digest is verified. */
  async manifest(target: string, what: string, signal: AbortSignal): Promise<Document> {
    const url = this.#url(`manifests/${target}`);
    return this.#document(url, { accept: [manifestAccept.join(', ')] }, maxManifestBytes, what, signal, (response) => {
      const promised = target.includes(':') ? target : response.headers['docker-content-digest'];
      return promised?.startsWith('sha256:') === true ? promised : undefined;
    });
  }

  /** A small blob, such as an image config, with digest and length verified. */
  async smallBlob(descriptor: Descriptor, what: string, signal: AbortSignal): Promise<Buffer> {
    if (descriptor.size > maxConfigBytes) {
      throw new RegistryFailure('REGISTRY_PROTOCOL', `${what}: ${descriptor.size} bytes are more than the ${maxConfigBytes} allowed`);
    }
    const url = this.#url(`blobs/${descriptor.digest}`);
    const { content } = await this.#document(url, {}, maxConfigBytes, what, signal, () => descriptor.digest);
    return content;
  }

  async openBlob(descriptor: Descriptor, offset: number, what: string, signal: AbortSignal): Promise<OpenedBlob> {
    const url = this.#url(`blobs/${descriptor.digest}`);
    return requestBlob((headers) => this.#attempt(url, headers, what, signal), descriptor, offset, what, this.host);
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
    promised: (response: HttpResponse) => string | undefined,
  ): Promise<Document> {
    return withRetries(this.#options.retry, this.#options.hasAlternative, signal, async () => {
      const response = await this.#attempt(url, headers, what, signal);
      try {
        const content = await this.#read(response, maxBytes, promised(response), what, signal);
        return { content, contentType: response.headers['content-type'] ?? '' };
      } catch (cause) {
        throw failureOfTransport(what, this.endpoint.host, cause, signal);
      }
    });
  }

  /** The document, verified where its digest is known. */
  async #read(response: HttpResponse, maxBytes: number, digest: string | undefined, what: string, signal: AbortSignal): Promise<Buffer> {
    const from = `${what} from ${this.endpoint.host}`;
    const encoding = response.headers['content-encoding'];
    const sent = await readBody(response.body, maxBytes, from, signal);
    if (digest !== undefined && digestOf(sent) === digest) return sent;
    const content = isEncoded(encoding) ? await readBody(decoded(Readable.from([sent]), encoding, from), maxBytes, from, signal) : sent;
    if (digest !== undefined) this.#verify(content, digest, what);
    return content;
  }

  async #attempt(url: URL, headers: HttpRequest['headers'], what: string, signal: AbortSignal): Promise<HttpResponse> {
    if (this.#absence !== undefined) throw this.#absence;
    try {
      return await this.#exchange.attempt({ url, headers, what, success, signal });
    } catch (failure) {
      if (this.#options.hasAlternative && failure instanceof RegistryFailure && isAbsentServer(failure)) this.#absence = failure;
      throw failure;
    }
  }

  #verify(content: Buffer, digest: string, what: string): void {
    const actual = digestOf(content);
    if (actual === digest) return;
    throw new RegistryFailure('DIGEST_MISMATCH', `${what}: ${this.endpoint.host} sent content with digest ${actual} instead of ${digest}`);
  }

  #url(rest: string): URL {
    return repositoryUrl(this.endpoint, this.#repository, rest);
  }
}

/** `rest` is what comes after the repository's name. */
export function repositoryUrl(endpoint: Endpoint, repository: Repository, rest: string): URL {
  const url = new URL(`${endpoint.origin}${endpoint.basePath}/${repository.path}/${rest}`);
  if (endpoint.isMirror) url.searchParams.set('ns', repository.domain);
  return url;
}
