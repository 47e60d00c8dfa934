/**
 * A registry that misbehaves: a proxy in front of a real one which, for the requests that a test
 * names, cuts the connection, changes bytes, redirects or answers with something else.
 */

import { createServer, request as httpRequest } from 'node:http';
import type { ClientRequest, IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';

export type Fault =
  /** Sends the first `after` bytes of the body, then resets the connection. */
  | { readonly kind: 'cut'; readonly after: number }
  /** Flips one bit of the body's byte at this offset. */
  | { readonly kind: 'corrupt'; readonly at: number }
  | { readonly kind: 'answer'; readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body: string | Buffer }
  | { readonly kind: 'redirect'; readonly to: string }
  /** Sends the first `after` bytes of the body, then nothing any more. */
  | { readonly kind: 'stall'; readonly after: number }
  /** Says that the body is so many bytes longer than it is, and sends as many more. */
  | { readonly kind: 'longer'; readonly by: number }
  /** Takes the first `after` bytes of what is sent, then resets the connection. */
  | { readonly kind: 'cut-request'; readonly after: number }
  /** Sends the body in so many pieces, with so many milliseconds before each. */
  | { readonly kind: 'drip'; readonly pieces: number; readonly every: number }
  /** Answers as if the whole had been asked for. */
  | { readonly kind: 'ignore-range' }
  /** Never answers. */
  | { readonly kind: 'hang' };

export interface Rule {
  readonly method?: string;
  /** Tested against the path with its query. */
  readonly path: RegExp;
  readonly fault: Fault;
  /** Only for requests that bring more bytes than that. */
  readonly above?: number;
  /** For how many requests; from then on the real registry answers. */
  readonly times?: number;
}

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
}

export interface FaultyRegistry {
  readonly host: string;
  readonly url: string;
  readonly seen: SeenRequest[];
  /** Replaces the rules and forgets what was seen. */
  setRules(...rules: readonly Rule[]): void;
  stop(): Promise<void>;
}

export async function startFaultyRegistry(upstream: string): Promise<FaultyRegistry> {
  let rules: { rule: Rule; left: number }[] = [];
  const seen: SeenRequest[] = [];
  const server = createServer((request, response) => {
    const path = request.url ?? '/';
    const method = request.method ?? 'GET';
    seen.push({ method, path, headers: request.headers });
    const length = Number(request.headers['content-length'] ?? '0');
    const fits = (rule: Rule): boolean => rule.path.test(path) && (rule.method ?? method) === method && length > (rule.above ?? -1);
    const hit = rules.find(({ rule, left }) => left > 0 && fits(rule));
    if (hit !== undefined) hit.left -= 1;
    serve(upstream, request, response, hit?.rule.fault);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    host: `127.0.0.1:${port}`,
    url: `http://127.0.0.1:${port}`,
    seen,
    setRules: (...next) => {
      rules = next.map((rule) => ({ rule, left: rule.times ?? Number.POSITIVE_INFINITY }));
      seen.length = 0;
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function serve(upstream: string, request: IncomingMessage, response: ServerResponse, fault: Fault | undefined): void {
  if (fault?.kind === 'hang') return;
  if (fault?.kind === 'answer') {
    response.writeHead(fault.status, { ...fault.headers });
    response.end(fault.body);
    return;
  }
  if (fault?.kind === 'redirect') {
    response.writeHead(307, { location: fault.to });
    response.end();
    return;
  }
  // With the host that was asked, so that what the registry says of its own address leads through here again.
  const headers = { ...request.headers };
  if (fault?.kind === 'ignore-range') delete headers.range;
  const forward = httpRequest(new URL(request.url ?? '/', upstream), { method: request.method, headers, agent: false }, (answer) => {
    const length = Number(answer.headers['content-length'] ?? '0');
    const told = fault?.kind === 'longer' ? { 'content-length': String(length + fault.by) } : {};
    response.writeHead(answer.statusCode ?? 502, { ...answer.headers, ...told });
    if (fault?.kind === 'drip') void drip(answer, response, fault);
    else passOn(answer, response, fault);
  });
  forward.once('error', () => response.destroy());
  response.once('close', () => forward.destroy());
  if (fault?.kind === 'cut-request') passPart(request, forward, fault.after);
  else request.pipe(forward);
}

function passPart(request: IncomingMessage, forward: ClientRequest, after: number): void {
  let passed = 0;
  request.on('data', (data: Buffer) => {
    const part = data.subarray(0, after - passed);
    passed += part.length;
    forward.write(part);
    if (passed < after) return;
    forward.destroy();
    request.destroy();
  });
  request.on('end', () => forward.end());
}

async function drip(answer: IncomingMessage, response: ServerResponse, fault: Fault & { readonly kind: 'drip' }): Promise<void> {
  const body = await buffer(answer);
  const length = Math.ceil(body.length / fault.pieces);
  for (let at = 0; at < body.length && !response.destroyed; at += length) {
    await sleep(fault.every);
    response.write(body.subarray(at, at + length));
  }
  response.end();
}

function passOn(answer: IncomingMessage, response: ServerResponse, fault: Fault | undefined): void {
  let sent = 0;
  answer.on('error', () => response.destroy());
  answer.on('end', () => response.end(fault?.kind === 'longer' ? Buffer.alloc(fault.by) : undefined));
  answer.on('data', (data: Buffer) => {
    const start = sent;
    sent += data.length;
    if (fault?.kind === 'cut' && sent >= fault.after) {
      // Out with what may still go, then no orderly end.
      response.write(data.subarray(0, fault.after - start), () => response.destroy());
      answer.destroy();
      return;
    }
    if (fault?.kind === 'stall' && sent >= fault.after) {
      response.write(data.subarray(0, fault.after - start));
      answer.pause();
      return;
    }
    if (fault?.kind === 'corrupt' && fault.at >= start && fault.at < sent) {
      data = Buffer.from(data);
      data[fault.at - start] = (data[fault.at - start] ?? 0) ^ 1;
    }
    response.write(data);
  });
}
