/** An in-process registry for tests: serves images from memory and misbehaves on request. */

import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { digestOf } from '../digest.ts';

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** Handles a request before the registry does; true: it has been answered. */
export type Interceptor = (request: SeenRequest, response: ServerResponse) => boolean;

export class FakeRegistry {
  readonly #server: Server;
  readonly #blobs = new Map<string, Buffer>();
  readonly #manifests = new Map<string, { content: Buffer; type: string }>();
  readonly seen: SeenRequest[] = [];
  intercept: Interceptor = () => false;

  private constructor() {
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  static async start(): Promise<FakeRegistry> {
    const registry = new FakeRegistry();
    await new Promise<void>((resolve) => registry.#server.listen(0, '127.0.0.1', resolve));
    return registry;
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  blob(content: Buffer): string {
    const digest = digestOf(content);
    this.#blobs.set(digest, content);
    return digest;
  }

  /** Serves other bytes under the digest. */
  corruptBlob(digest: string, content: Buffer): void {
    this.#blobs.set(digest, content);
  }

  /** Under `repository:tag` and by digest. */
  manifest(repository: string, tag: string, content: Buffer, type: string): string {
    const digest = digestOf(content);
    this.#manifests.set(`${repository}/${tag}`, { content, type });
    this.#manifests.set(`${repository}/${digest}`, { content, type });
    return digest;
  }

  requests(pattern: RegExp): readonly SeenRequest[] {
    return this.seen.filter(({ path }) => pattern.test(path));
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', `http://${this.host}`);
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const seen: SeenRequest = {
      method: request.method ?? '',
      path: url.pathname,
      query: url.searchParams,
      headers: request.headers,
      body: Buffer.concat(chunks).toString('utf8'),
    };
    this.seen.push(seen);
    if (!this.intercept(seen, response)) this.answer(seen, response);
  }

  /** What a registry that behaves answers. */
  answer(request: SeenRequest, response: ServerResponse): void {
    const [, repository = '', kind, target = ''] = /^\/v2\/(.+)\/(manifests|blobs)\/([^/]+)$/.exec(request.path) ?? [];
    const found = kind === 'manifests' ? this.#manifests.get(`${repository}/${target}`) : this.#blob(target);
    if (found === undefined) {
      response.writeHead(404, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ errors: [{ code: 'MANIFEST_UNKNOWN', message: 'manifest unknown' }] }));
      return;
    }
    const range = /^bytes=([0-9]+)-/.exec(request.headers.range ?? '')?.[1];
    const from = range === undefined ? 0 : Number(range);
    const { content, type } = found;
    const headers = { 'content-type': type, 'content-length': String(content.length - from) };
    if (range === undefined) response.writeHead(200, headers);
    else response.writeHead(206, { ...headers, 'content-range': `bytes ${from}-${content.length - 1}/${content.length}` });
    response.end(content.subarray(from));
  }

  #blob(digest: string): { content: Buffer; type: string } | undefined {
    const content = this.#blobs.get(digest);
    return content === undefined ? undefined : { content, type: 'application/octet-stream' };
  }
}
