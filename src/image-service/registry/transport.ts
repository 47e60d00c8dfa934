/** HTTP to one endpoint and to where it redirects, on undici. Connections live as long as a pull. */

import { Readable } from 'node:stream';
import { Agent, ProxyAgent } from 'undici';
import type { Dispatcher } from 'undici';
import { protocolError } from './descriptor.ts';
import type { Endpoint } from './endpoint.ts';
import { proxyFor } from './proxy.ts';
import type { ProxyEnvironment } from './proxy.ts';
import type { TrustStore } from './trust-store.ts';

export interface HttpResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Dispatcher.ResponseData['body'];
  /** False: the answer is another server's, which a redirect led to. */
  readonly fromEndpoint: boolean;
  /** The challenges of every WWW-Authenticate header. */
  readonly challenges: readonly string[];
}

export interface HttpRequest {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  /** Sent to the URL's own origin and dropped for good by a redirect to another. */
  readonly authorization: string | undefined;
  readonly method?: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH';
  readonly body?: HttpBody | undefined;
  /** Milliseconds for the answer to begin; the time without progress where it is not given. */
  readonly patience?: number | undefined;
  readonly signal: AbortSignal;
}

/** A stream is made when it is sent, and told its length by a header. */
export type HttpBody = string | Buffer | (() => AsyncIterable<Buffer>);

export interface TransportOptions {
  /** Milliseconds without a byte after which a request is given up. */
  readonly progressTimeout: number;
  /** HTTP_PROXY, HTTPS_PROXY and NO_PROXY, in either case. */
  readonly environment: ProxyEnvironment;
  readonly trust: TrustStore;
}

const maxRedirects = 5;
const redirectStatus: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

export class Transport {
  readonly #endpoint: Endpoint;
  readonly #options: TransportOptions;
  /** By trust, protocol and proxy: what is for other servers shows no certificate and always verifies. */
  readonly #dispatchers = new Map<string, Promise<Dispatcher>>();

  constructor(endpoint: Endpoint, options: TransportOptions) {
    this.#endpoint = endpoint;
    this.#options = options;
  }

  /** One exchange with its redirects. Throws what undici throws when there is no answer. */
  async send(request: HttpRequest): Promise<HttpResponse> {
    let url = request.url;
    let authorization = request.authorization;
    for (let hops = 0; ; hops += 1) {
      const response = await this.#exchange(request, url, authorization);
      const location = response.headers['location'];
      const follows = request.method === undefined || request.method === 'GET' || request.method === 'HEAD';
      if (!redirectStatus.has(response.status) || location === undefined || !follows) return response;
      await response.body.dump({ limit: 65_536, signal: request.signal });
      const next = locationTarget(url, location);
      if (hops === maxRedirects) throw protocolError(request.url.href, `more than ${maxRedirects} redirects`);
      if (next.origin !== url.origin) authorization = undefined;
      url = next;
    }
  }

  async #exchange(request: HttpRequest, url: URL, authorization: string | undefined): Promise<HttpResponse> {
    const fromEndpoint = url.origin === this.#endpoint.origin;
    // The token server is often another port of the registry's host, with the same certificate.
    const sameHost = url.hostname === new URL(this.#endpoint.origin).hostname;
    const response = await (await this.#dispatcher(sameHost, url.protocol === 'https:', proxyFor(url, this.#options.environment))).request({
      origin: url.origin,
      path: url.pathname + url.search,
      method: request.method ?? 'GET',
      headers: {
        'user-agent': 'berth',
        ...headersOf(request.headers),
        ...(fromEndpoint ? headersOf(this.#endpoint.headers) : {}),
        ...(authorization === undefined ? {} : { authorization }),
      },
      body: typeof request.body === 'function' ? Readable.from(request.body(), { objectMode: false }) : (request.body ?? null),
      signal: request.signal,
      headersTimeout: request.patience ?? this.#options.progressTimeout,
      bodyTimeout: this.#options.progressTimeout,
    });
    // An answer that is dropped before it is read ends in an error event, which must not end berthd.
    response.body.on('error', () => undefined);
    return {
      status: response.statusCode,
      headers: firstValues(response.headers),
      body: response.body,
      fromEndpoint,
      challenges: allValues(response.headers['www-authenticate']),
    };
  }

  #dispatcher(sameHost: boolean, secure: boolean, proxy: URL | undefined): Promise<Dispatcher> {
    const key = `${sameHost} ${secure} ${proxy?.href ?? ''}`;
    const dispatcher = this.#dispatchers.get(key) ?? this.#connect(sameHost, secure, proxy);
    this.#dispatchers.set(key, dispatcher);
    return dispatcher;
  }

  /** `own`: with the endpoint's client certificate and skip_verify. */
  async #connect(own: boolean, secure: boolean, proxy: URL | undefined): Promise<Dispatcher> {
    const { tls, dialTimeout } = this.#endpoint;
    const { trust } = this.#options;
    if (!secure && proxy === undefined) return new Agent({ connect: { timeout: dialTimeout } });
    const secureContext = await trust.context({ ca: tls.ca, client: own ? tls.client : [] });
    const tlsOptions = { timeout: dialTimeout, rejectUnauthorized: !(own && tls.skipVerify), secureContext };
    if (proxy === undefined) return new Agent({ connect: tlsOptions });
    return new ProxyAgent({
      uri: proxy.href,
      connectTimeout: dialTimeout,
      requestTls: tlsOptions,
      proxyTls: { timeout: dialTimeout, secureContext: await trust.context({ ca: [], client: [] }) },
    });
  }

  /** Ends every connection, also ones in use. */
  async close(): Promise<void> {
    for (const opening of this.#dispatchers.values()) {
      const dispatcher = await opening.catch(() => undefined);
      await dispatcher?.destroy();
    }
  }
}

/**
 * Where a Location header leads. From https it may not be plain HTTP: only the mirror file can allow that. Throws
 * REGISTRY_PROTOCOL.
 */
export function locationTarget(from: URL, location: string): URL {
  if (!URL.canParse(location, from)) throw protocolError(from.host, `redirects to "${location.slice(0, 200)}", which is not a URL`);
  const next = new URL(location, from);
  const allowed = next.protocol === 'https:' || (next.protocol === 'http:' && from.protocol === 'http:');
  if (!allowed) throw protocolError(from.host, `redirects from ${from.protocol} to ${next.protocol}, which is not allowed`);
  next.username = '';
  next.password = '';
  return next;
}

function headersOf(headers: HttpRequest['headers']): Record<string, string | string[]> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, typeof value === 'string' ? value : [...value]]),
  );
}

type RawHeaders = Readonly<Record<string, string | string[] | undefined>>;

function firstValues(headers: RawHeaders): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) => allValues(value).slice(0, 1).map((first) => [name, first])),
  ) as Record<string, string>;
}

function allValues(value: string | string[] | undefined): readonly string[] {
  if (value === undefined) return [];
  return typeof value === 'string' ? [value] : value;
}
