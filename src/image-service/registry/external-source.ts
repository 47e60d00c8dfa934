/**
 * A layer's own URLs (image-spec descriptor.md, `urls`), for layers that their registry does not have. The image's author
 * chose these servers, so they get no credentials, no client certificate and no header that is meant for a registry, and
 * are asked over https alone, unless the mirror file of their host says plain HTTP. What comes is verified like any layer.
 */

import { requestBlob } from './blob-source.ts';
import type { BlobSource, OpenedBlob } from './blob-source.ts';
import type { Descriptor } from './descriptor.ts';
import { allCapabilities, defaultDialTimeout, noTlsFiles } from './endpoint.ts';
import type { Endpoint } from './endpoint.ts';
import { Exchange } from './exchange.ts';
import { RegistryFailure } from './failure.ts';
import { readEndpoints } from './hosts.ts';
import type { HostSources } from './hosts.ts';
import { Transport } from './transport.ts';
import type { HttpRequest, HttpResponse, TransportOptions } from './transport.ts';

const success: ReadonlySet<number> = new Set([200, 206]);

export class ExternalSource implements BlobSource {
  readonly #text: string;
  readonly #hosts: HostSources;
  readonly #options: TransportOptions;
  #opened: Promise<{ readonly url: URL; readonly transport: Transport; readonly exchange: Exchange }> | undefined;

  constructor(text: string, hosts: HostSources, options: TransportOptions) {
    this.#text = text;
    this.#hosts = hosts;
    this.#options = options;
  }

  get host(): string {
    return URL.canParse(this.#text) ? new URL(this.#text).host : 'a URL of the image';
  }

  async openBlob(descriptor: Descriptor, offset: number, what: string, signal: AbortSignal): Promise<OpenedBlob> {
    const { url, exchange } = await (this.#opened ??= this.#open(what, signal));
    const ask = (headers: HttpRequest['headers']): Promise<HttpResponse> => exchange.attempt({ url, headers, what, success, signal });
    return requestBlob(ask, descriptor, offset, what, this.host);
  }

  async close(): Promise<void> {
    const opened = await this.#opened?.catch(() => undefined);
    await opened?.transport.close();
  }

  async #open(what: string, signal: AbortSignal): Promise<{ readonly url: URL; readonly transport: Transport; readonly exchange: Exchange }> {
    const url = this.#url(what);
    const named = (await readEndpoints(this.#hosts, url.host, signal)).find(({ origin }) => origin === url.origin);
    if (named === undefined && url.protocol !== 'https:') throw refused(what, this.#text, 'it is not https');
    const endpoint = endpointOf(url, named);
    const transport = new Transport(endpoint, this.#options);
    return { url, transport, exchange: new Exchange(transport, endpoint, undefined) };
  }

  #url(what: string): URL {
    const url = URL.canParse(this.#text) ? new URL(this.#text) : undefined;
    if (url === undefined || (url.protocol !== 'https:' && url.protocol !== 'http:')) throw refused(what, this.#text, 'it is not https');
    if (url.username !== '' || url.password !== '') throw refused(what, url.host, 'it holds a user or a password');
    return url;
  }
}

/** Of what the administrator says of the host only whom to trust counts. */
function endpointOf(url: URL, named: Endpoint | undefined): Endpoint {
  return {
    origin: url.origin,
    host: url.host,
    basePath: '',
    capabilities: allCapabilities,
    headers: {},
    tls: named === undefined ? noTlsFiles : { ...named.tls, client: [] },
    dialTimeout: named?.dialTimeout ?? defaultDialTimeout,
    isMirror: false,
    trustedWithCredentials: false,
  };
}

function refused(what: string, text: string, problem: string): RegistryFailure {
  return new RegistryFailure('REGISTRY_PROTOCOL', `${what}: its URL ${JSON.stringify(text.slice(0, 200))} is not asked: ${problem}`);
}
