/** The HTTP side: what a client asks for in its request, and the answers that are written to a socket by hand. */
import type { IncomingMessage } from 'node:http';
import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';

const protocolHeader = 'X-Stream-Protocol-Version';

export type StreamKind = 'exec' | 'attach' | 'portforward';

export interface Address {
  readonly kind: StreamKind;
  readonly token: string;
}

const path = /^\/(exec|attach|portforward)\/([\w-]{1,64})$/;

/** From the request's path; undefined when it is none of ours. */
export function parseAddress(url: string | undefined): Address | undefined {
  const match = path.exec(url?.split('?', 1)[0] ?? '');
  return match?.[1] === undefined || match[2] === undefined ? undefined : { kind: match[1] as StreamKind, token: match[2] };
}

export type Upgrade = 'spdy' | 'websocket';

/** What the client wants the connection to become; undefined for what is not spoken here. */
export function requestedUpgrade(request: IncomingMessage): Upgrade | undefined {
  const upgrade = request.headers.upgrade?.toLowerCase() ?? '';
  if (upgrade === 'websocket') return 'websocket';
  return upgrade.split(',').some((name) => name.trim() === 'spdy/3.1') ? 'spdy' : undefined;
}

/** The names in a header that is a list, over all of its lines. */
export function listed(request: IncomingMessage, header: string): string[] {
  const value = request.headers[header] ?? '';
  return String(value).split(',').map((name) => name.trim()).filter((name) => name !== '');
}

/**
 * The first protocol of the client's that is supported. No protocol asked for is the empty one. Undefined
 * when none of them is supported.
 */
export function negotiate(asked: readonly string[], supported: ReadonlySet<string>): string | undefined {
  return asked.length === 0 ? '' : asked.find((name) => supported.has(name));
}

export function spdyProtocols(request: IncomingMessage): string[] {
  return listed(request, protocolHeader.toLowerCase());
}

/** Answers 101; from here the socket speaks SPDY. */
export function acceptSpdy(socket: Duplex, protocol: string): void {
  const chosen = protocol === '' ? '' : `${protocolHeader}: ${protocol}\r\n`;
  socket.write(`HTTP/1.1 101 ${STATUS_CODES[101]}\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n${chosen}\r\n`);
}

/** Answers with an error and closes the connection. */
export function refuse(socket: Duplex, status: number, message: string, headers: Readonly<Record<string, string>> = {}): void {
  const body = `${message}\n`;
  const lines = Object.entries({
    Connection: 'close',
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': String(Buffer.byteLength(body)),
    ...headers,
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.once('finish', () => socket.destroy());
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${lines.join('')}\r\n${body}`);
}

/** For clients that ask for protocols which are not spoken: what would be. */
export function acceptedProtocols(supported: ReadonlySet<string>): Record<string, string> {
  return { 'X-Accepted-Stream-Protocol-Versions': [...supported].filter((name) => name !== '').join(', ') };
}
