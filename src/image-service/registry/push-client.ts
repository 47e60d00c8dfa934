/** The distribution API (distribution spec 1.1, "Push") of one endpoint, for one repository: single attempts. */

import { Authorizer } from './authorizer.ts';
import { repositoryUrl } from './client.ts';
import type { ClientOptions, Repository } from './client.ts';
import type { PullAuth } from './credentials.ts';
import type { Descriptor } from './descriptor.ts';
import { protocolError } from './descriptor.ts';
import type { Endpoint } from './endpoint.ts';
import { Exchange } from './exchange.ts';
import type { ExchangeRequest } from './exchange.ts';
import { RegistryFailure, unavailable } from './failure.ts';
import { watchStall } from './stall-watch.ts';
import { tokenSource } from './token-server.ts';
import { Transport, locationTarget } from './transport.ts';
import type { HttpResponse } from './transport.ts';

/** Where the next bytes of an upload go. */
export interface UploadSession {
  readonly url: URL;
  /** Bytes that the registry has. */
  readonly offset: number;
  /** The registry wants pieces of at least so many bytes, but for the last. */
  readonly minPiece: number;
}

/** Bytes of the body, and how to make it. */
export interface UploadBody {
  readonly length: number;
  readonly open: () => AsyncIterable<Buffer>;
}

type Call = Pick<ExchangeRequest, 'what' | 'signal'>;

const codes = (...list: number[]): ReadonlySet<number> => new Set(list);
/** Times as long as without progress elsewhere. */
const answerPatience = 10;
const octets = { 'content-type': 'application/octet-stream' };

export class PushClient {
  readonly endpoint: Endpoint;
  readonly #repository: Repository;
  readonly #auth: PullAuth | undefined;
  readonly #options: ClientOptions;
  readonly #transport: Transport;
  readonly #exchange: Exchange;
  /** By the repository that blobs come from: a token that is refused for one must not spoil the others. */
  readonly #mounting = new Map<string, Exchange>();

  constructor(endpoint: Endpoint, repository: Repository, auth: PullAuth | undefined, options: ClientOptions) {
    this.endpoint = endpoint;
    this.#repository = repository;
    this.#auth = auth;
    this.#options = options;
    this.#transport = new Transport(endpoint, options);
    this.#exchange = this.#exchangeFor([]);
  }

  /** Whether the repository has the blob, as far as the registry says. */
  async hasBlob({ digest, size }: Descriptor, call: Call): Promise<boolean> {
    const response = await this.#exchange.attempt({ ...call, method: 'HEAD', url: this.#url(`blobs/${digest}`), success: codes(200, 404) });
    await drained(response, call.signal);
    const length = response.headers['content-length'];
    return response.status === 200 && (length === undefined || Number(length) === size);
  }

  /** Asks for a blob of another repository of this registry. Undefined: it is there now; otherwise it can be uploaded. */
  async mount(digest: string, from: string, call: Call): Promise<UploadSession | undefined> {
    const url = this.#url('blobs/uploads/');
    url.searchParams.set('mount', digest);
    url.searchParams.set('from', from);
    const exchange = this.#mounting.get(from) ?? this.#exchangeFor([`repository:${from}:pull`]);
    this.#mounting.set(from, exchange);
    const response = await exchange.attempt({ ...call, method: 'POST', url, success: codes(201, 202) });
    await drained(response, call.signal);
    return response.status === 201 ? undefined : this.#session(response, url, 0, call.what);
  }

  async startUpload(call: Call): Promise<UploadSession> {
    const url = this.#url('blobs/uploads/');
    const response = await this.#exchange.attempt({ ...call, method: 'POST', url, success: codes(202) });
    await drained(response, call.signal);
    return this.#session(response, url, 0, call.what);
  }

  /** Sends the bytes from `session.offset` on; the answer's offset is what the registry says it has then. */
  async sendPiece(session: UploadSession, body: UploadBody, call: Call): Promise<UploadSession> {
    const last = session.offset + body.length - 1;
    const headers = { ...octets, 'content-length': String(body.length), 'content-range': `${session.offset}-${last}` };
    const response = await this.#send({ ...call, method: 'PATCH', url: session.url, headers, success: codes(201, 202, 204) }, body);
    await drained(response, call.signal);
    return this.#session(response, session.url, last + 1, call.what, session.minPiece);
  }

  /** Ends an upload, with all its bytes or with none that is still to come. The registry checks the digest. */
  async finish(session: UploadSession, digest: string, body: UploadBody | undefined, call: Call): Promise<void> {
    const url = new URL(session.url);
    // The rest of the query is the registry's own, and may not survive being parsed.
    url.search = `${url.search === '' ? '?' : `${url.search}&`}digest=${encodeURIComponent(digest)}`;
    const headers = { ...octets, 'content-length': String(body?.length ?? 0) };
    const response = await this.#send({ ...call, method: 'PUT', url, headers, success: codes(201, 204) }, body);
    await drained(response, call.signal);
  }

  /** How much of an upload has arrived. */
  async uploadStatus(session: UploadSession, call: Call): Promise<UploadSession> {
    const response = await this.#exchange.attempt({ ...call, url: session.url, success: codes(200, 202, 204) });
    await drained(response, call.signal);
    return this.#session(response, session.url, 0, call.what, session.minPiece);
  }

  /** Under a tag or a digest. */
  async putManifest(target: string, content: Buffer, descriptor: Descriptor, call: Call): Promise<void> {
    const url = this.#url(`manifests/${target}`);
    const headers = { 'content-type': descriptor.mediaType };
    const response = await this.#exchange.attempt({ ...call, method: 'PUT', url, headers, body: content, success: codes(200, 201, 202) });
    await drained(response, call.signal);
    const stored = response.headers['docker-content-digest'];
    if (stored === undefined || stored === descriptor.digest) return;
    throw new RegistryFailure('DIGEST_MISMATCH', `${call.what}: ${this.endpoint.host} has stored it as ${stored} instead of ${descriptor.digest}`);
  }

  async close(): Promise<void> {
    await this.#transport.close();
  }

  /** A registry that has everything may take its time, to check and to store it; one that takes nothing may not. */
  async #send(request: ExchangeRequest, body: UploadBody | undefined): Promise<HttpResponse> {
    const { progressTimeout } = this.#options;
    const stalled = new AbortController();
    const failure = unavailable(request.what, this.endpoint.host, 'took nothing for too long', { transient: true });
    const open = body === undefined ? undefined : (): AsyncIterable<Buffer> => watchStall(body.open(), progressTimeout, () => stalled.abort(failure));
    const signal = AbortSignal.any([request.signal, stalled.signal]);
    return this.#exchange.attempt({ ...request, body: open, patience: answerPatience * progressTimeout, signal });
  }

  #exchangeFor(more: readonly string[]): Exchange {
    const scope = { wanted: [`repository:${this.#repository.path}:pull,push`, ...more], always: true };
    const tokens = { source: tokenSource(this.#transport, this.#options.retry), cache: this.#options.tokens };
    return new Exchange(this.#transport, this.endpoint, new Authorizer(this.endpoint, scope, this.#auth, tokens));
  }

  #session(response: HttpResponse, asked: URL, sent: number, what: string, minPiece = 0): UploadSession {
    const { location, range, 'oci-chunk-min-length': least } = response.headers;
    if (location === undefined && asked.pathname.endsWith('/blobs/uploads/')) {
      throw protocolError(what, `${this.endpoint.host} accepts an upload, but does not say where`);
    }
    return {
      url: location === undefined ? asked : locationTarget(asked, location),
      offset: received(range) ?? sent,
      minPiece: /^[0-9]{1,15}$/.test(least ?? '') ? Number(least) : minPiece,
    };
  }

  #url(rest: string): URL {
    return repositoryUrl(this.endpoint, this.#repository, rest);
  }
}

/** `0-1023` are 1024 bytes; `0-0` is what registries say of none. */
function received(range: string | undefined): number | undefined {
  const last = /^(?:bytes=)?0-([0-9]{1,15})$/.exec(range ?? '')?.[1];
  if (last === undefined) return undefined;
  return Number(last) === 0 ? 0 : Number(last) + 1;
}

/** Reads what there is, which frees the connection for the next request. */
async function drained(response: HttpResponse, signal: AbortSignal): Promise<void> {
  await response.body.dump({ limit: 65_536, signal });
}
