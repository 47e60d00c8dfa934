/** An in-process registry that takes images, keeps them in memory, and misbehaves on request. */

import { createServer } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { digestOf } from '../digest.ts';

export interface SeenPush {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
}

interface Session {
  readonly repository: string;
  data: Buffer;
}

/** True: the request has been answered. */
export type PushInterceptor = (request: SeenPush, response: ServerResponse, raw: IncomingMessage) => boolean;

export class PushRegistry {
  readonly #server: Server;
  /** `repository digest` → content. */
  readonly blobs = new Map<string, Buffer>();
  /** `repository:tag` and `repository@digest` → content. */
  readonly manifests = new Map<string, { readonly content: Buffer; readonly type: string }>();
  readonly seen: SeenPush[] = [];
  readonly sessions = new Map<string, Session>();
  intercept: PushInterceptor = () => false;
  /** Bytes after which the next connections that bring much are cut, one for each entry. */
  cuts: number[] = [];
  /** Whether an upload that broke can be taken up. */
  remembers = true;
  location: (path: string) => string = (path) => path;
  /** Milliseconds between an upload's last byte and the answer. */
  storingTakes = 0;
  uploadHeaders: Readonly<Record<string, string>> = {};
  #uploads = 0;

  private constructor() {
    this.#server = createServer((request, response) => {
      this.#serve(request, response).catch(() => response.destroy());
    });
  }

  static async start(): Promise<PushRegistry> {
    const registry = new PushRegistry();
    await new Promise<void>((resolve) => registry.#server.listen(0, '127.0.0.1', resolve));
    return registry;
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  requests(method: string, pattern: RegExp = /./): readonly SeenPush[] {
    return this.seen.filter((request) => request.method === method && pattern.test(request.path));
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(raw: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(raw.url ?? '/', `http://${this.host}`);
    const seen = { method: raw.method ?? '', path: url.pathname, query: url.searchParams, headers: raw.headers };
    this.seen.push(seen);
    if (this.intercept(seen, response, raw)) return;
    const [, repository = '', kind = '', target = ''] = /^\/v2\/(.+)\/(manifests|blobs\/uploads|blobs)\/([^/]*)$/.exec(url.pathname) ?? [];
    if (kind === 'blobs/uploads') await this.#upload(seen, repository, target, raw, response);
    else if (seen.method === 'PUT') await this.#putManifest(seen, repository, target, raw, response);
    else this.#read(seen.method, repository, kind, target, response);
  }

  #read(method: string, repository: string, kind: string, target: string, response: ServerResponse): void {
    const blob = kind === 'blobs' ? this.blobs.get(`${repository} ${target}`) : undefined;
    const found = blob === undefined ? this.manifests.get(`${repository}${target.includes(':') ? '@' : ':'}${target}`) : { content: blob, type: 'application/octet-stream' };
    if (found === undefined) return void response.writeHead(404).end();
    response.writeHead(200, { 'content-type': found.type, 'content-length': String(found.content.length) });
    response.end(method === 'HEAD' ? undefined : found.content);
  }

  async #putManifest(seen: SeenPush, repository: string, target: string, raw: IncomingMessage, response: ServerResponse): Promise<void> {
    const content = await this.#body(raw, () => undefined);
    const document = JSON.parse(content.toString('utf8')) as { config: { digest: string }; layers: { digest: string; urls?: string[] }[] };
    const wanted = [document.config, ...document.layers].filter((part) => !('urls' in part));
    if (wanted.some(({ digest }) => !this.blobs.has(`${repository} ${digest}`))) return refuse(response, 400, 'MANIFEST_BLOB_UNKNOWN');
    const digest = digestOf(content);
    for (const name of [`${repository}:${target}`, `${repository}@${digest}`]) this.manifests.set(name, { content, type: seen.headers['content-type'] ?? '' });
    response.writeHead(201, { 'docker-content-digest': digest }).end();
  }

  async #upload(seen: SeenPush, repository: string, id: string, raw: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method, query } = seen;
    if (method === 'POST') return this.#start(query, repository, response);
    const session = this.sessions.get(id);
    if (session === undefined) return refuse(response, 404, 'BLOB_UPLOAD_UNKNOWN');
    const answer = (status: number): void => {
      const range = `0-${Math.max(0, session.data.length - 1)}`;
      response.writeHead(status, { location: this.location(`/v2/${repository}/blobs/uploads/${id}?_state=a%20b`), range, ...this.uploadHeaders }).end();
    };
    if (method === 'GET') return answer(204);
    const from = /^([0-9]+)-[0-9]+$/.exec(seen.headers['content-range'] ?? '')?.[1];
    if (from !== undefined && Number(from) !== session.data.length) return refuse(response, 416, 'BLOB_UPLOAD_INVALID');
    await this.#body(raw, (chunk) => {
      session.data = Buffer.concat([session.data, chunk]);
    }).finally(() => {
      if (!raw.complete && !this.remembers) this.sessions.delete(id);
    });
    if (method === 'PATCH') return answer(202);
    const digest = query.get('digest') ?? '';
    this.sessions.delete(id);
    if (this.storingTakes > 0) await sleep(this.storingTakes);
    if (digestOf(session.data) !== digest) return refuse(response, 400, 'DIGEST_INVALID');
    this.blobs.set(`${repository} ${digest}`, session.data);
    response.writeHead(201).end();
  }

  #start(query: URLSearchParams, repository: string, response: ServerResponse): void {
    const mounted = this.blobs.get(`${query.get('from')} ${query.get('mount')}`);
    if (mounted !== undefined) {
      this.blobs.set(`${repository} ${query.get('mount')}`, mounted);
      return void response.writeHead(201).end();
    }
    this.#uploads += 1;
    const id = `upload-${this.#uploads}`;
    this.sessions.set(id, { repository, data: Buffer.alloc(0) });
    response.writeHead(202, { location: this.location(`/v2/${repository}/blobs/uploads/${id}?_state=a%20b`), ...this.uploadHeaders }).end();
  }

  /** Gives every byte that arrives to `take`, also when the connection breaks then. */
  async #body(raw: IncomingMessage, take: (chunk: Buffer) => void): Promise<Buffer> {
    const chunks: Buffer[] = [];
    const limit = Number(raw.headers['content-length'] ?? '0') > 10_000 ? this.cuts.shift() : undefined;
    let length = 0;
    for await (const chunk of raw as AsyncIterable<Buffer>) {
      const part = limit === undefined ? chunk : chunk.subarray(0, limit - length);
      take(part);
      chunks.push(part);
      length += part.length;
      if (limit !== undefined && length >= limit) {
        raw.destroy();
        throw new Error('cut');
      }
    }
    return Buffer.concat(chunks);
  }
}

function refuse(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ errors: [{ code, message: code.toLowerCase() }] }));
}
