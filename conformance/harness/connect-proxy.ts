/** An HTTP proxy: tunnels for https (CONNECT), absolute URLs for http. It leads every name to where it is told. */

import { createServer, request as httpRequest } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';

export interface ConnectProxy {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  /** `CONNECT name:port` or `GET http://…`, in order; what has been refused is not among them. */
  readonly seen: string[];
  stop(): Promise<void>;
}

export interface ConnectProxyOptions {
  /** `name:port` as clients ask for it → `127.0.0.1:PORT`. */
  readonly routes: Readonly<Record<string, string>>;
  /** `user:password` that is asked for. */
  readonly credentials?: string;
}

export async function startConnectProxy(options: ConnectProxyOptions): Promise<ConnectProxy> {
  const seen: string[] = [];
  const sockets = new Set<Duplex>();
  const server = createServer((request, response) => {
    if (isAllowed(request, options)) forward(request, response, options, seen);
    else response.writeHead(407, { 'proxy-authenticate': 'Basic realm="proxy"' }).end();
  });
  server.on('connection', (socket) => void sockets.add(socket));
  server.on('connect', (request, socket) => {
    if (isAllowed(request, options)) sockets.add(tunnel(request, socket, options, seen));
    else socket.end('HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="proxy"\r\nContent-Length: 0\r\n\r\n');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

function isAllowed(request: IncomingMessage, { credentials }: ConnectProxyOptions): boolean {
  return credentials === undefined || request.headers['proxy-authorization'] === `Basic ${Buffer.from(credentials).toString('base64')}`;
}

function tunnel(request: IncomingMessage, socket: Duplex, { routes }: ConnectProxyOptions, seen: string[]): Duplex {
  const [host, port] = (routes[request.url ?? ''] ?? '').split(':');
  seen.push(`CONNECT ${request.url}`);
  const upstream = connect(Number(port), host, () => {
    socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
    socket.pipe(upstream).pipe(socket);
  });
  for (const [one, other] of [[socket, upstream], [upstream, socket]] as const) {
    one.on('error', () => other.destroy());
    one.on('close', () => other.destroy());
  }
  return upstream;
}

function forward(request: IncomingMessage, response: ServerResponse, { routes }: ConnectProxyOptions, seen: string[]): void {
  const url = new URL(request.url ?? '');
  seen.push(`${request.method} ${url.href}`);
  const to = new URL(url.pathname + url.search, `http://${routes[url.host] ?? ''}`);
  const upstream = httpRequest(to, { method: request.method, headers: { ...request.headers, host: to.host }, agent: false }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(response);
  });
  upstream.once('error', () => response.destroy());
  request.pipe(upstream);
}
