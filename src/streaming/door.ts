import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Logger } from 'pino';
import { WebSocketServer } from 'ws';
import { acceptedProtocols, acceptSpdy, listed, negotiate, parseAddress, refuse, requestedUpgrade, spdyProtocols } from './handshake.ts';
import type { Refusal, StreamMetrics } from './metrics.ts';
import { serveSpdy, serveWebSocket, supportedProtocols, webSocketProblem } from './serve.ts';
import type { StreamRequest } from './serve.ts';
import type { Sessions, StreamSession } from './sessions.ts';
import type { Tokens } from './tokens.ts';

/** Longest message of a WebSocket client: some send their whole input as one. */
const maxMessageBytes = 32 << 20;

/** Silence after which TCP asks whether the client's machine is there, in ms. */
const keepAliveMs = 30_000;

export interface DoorParts {
  /** Of sessions open at once. */
  readonly maxSessions: number;
  readonly tokens: Tokens<StreamRequest>;
  readonly metrics: StreamMetrics;
  readonly sessions: Sessions;
  readonly log: Logger;
}

/** Lets clients in, each with its token, and each token once. */
export class Door {
  readonly #parts: DoorParts;
  readonly #webSockets: WebSocketServer;
  readonly #chosen = new WeakMap<IncomingMessage, string>();

  constructor(parts: DoorParts) {
    this.#parts = parts;
    this.#webSockets = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: maxMessageBytes,
    });
    this.#webSockets.on('headers', (headers, request) => {
      const protocol = this.#chosen.get(request) ?? '';
      if (protocol !== '') headers.push(`Sec-WebSocket-Protocol: ${protocol}`);
    });
  }

  /** A request that does not ask for an upgrade. */
  turnAway(request: IncomingMessage, response: ServerResponse): void {
    const found = this.#find(request) !== undefined;
    if (!found) this.#parts.metrics.refused('token');
    response.writeHead(found ? 400 : 404, { 'content-type': 'text/plain; charset=utf-8', connection: 'close' });
    response.end(found ? 'upgrade to SPDY/3.1 or websocket\n' : 'no such stream; a URL can be used once, within a minute\n');
  }

  admit(request: IncomingMessage, socket: Socket, head: Buffer): void {
    socket.on('error', (err) => this.#parts.log.debug({ err }, 'connection of a stream client'));
    const what = this.#find(request);
    if (what === undefined) return this.#refuse(socket, 'token', 404, 'no such stream; a URL can be used once, within a minute');
    if (this.#parts.sessions.size >= this.#parts.maxSessions) {
      return this.#refuse(socket, 'sessions', 503, `${this.#parts.maxSessions} streams are open, which is the limit (stream.max_sessions)`);
    }
    const upgrade = requestedUpgrade(request);
    if (upgrade === undefined) return this.#refuse(socket, 'protocol', 400, 'upgrade to SPDY/3.1 or websocket');
    const supported = supportedProtocols(what.kind, upgrade);
    const asked = upgrade === 'spdy' ? spdyProtocols(request) : listed(request, 'sec-websocket-protocol');
    const protocol = negotiate(asked, supported);
    if (protocol === undefined) {
      const message = `none of these is supported: ${asked.join(', ')}; these are: ${[...supported].join(', ')}`;
      return this.#refuse(socket, 'protocol', 403, message, acceptedProtocols(supported));
    }
    if (upgrade === 'spdy') this.#startSpdy(what, protocol, request, socket, head);
    else this.#startWebSocket(what, protocol, request, socket, head);
  }

  close(): void {
    this.#parts.sessions.close();
    this.#webSockets.close();
  }

  #startSpdy(what: StreamRequest, protocol: string, request: IncomingMessage, socket: Socket, head: Buffer): void {
    const session = this.#begin(what, request, socket, 'spdy');
    acceptSpdy(socket, protocol);
    if (head.length > 0) socket.unshift(head);
    this.#follow(session, serveSpdy(what, protocol, socket, session));
  }

  #startWebSocket(what: StreamRequest, protocol: string, request: IncomingMessage, socket: Socket, head: Buffer): void {
    const problem = webSocketProblem(what, protocol, request);
    if (problem !== undefined) return this.#refuse(socket, 'protocol', 400, problem);
    // ws would refuse the tunnel's name: it has a slash, which is not for a subprotocol (RFC 6455, section 4.1).
    delete request.headers['sec-websocket-protocol'];
    this.#chosen.set(request, protocol);
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      const session = this.#begin(what, request, socket, 'websocket');
      this.#follow(session, serveWebSocket(what, protocol, webSocket, request.url ?? '', session));
    });
  }

  /** Uses up the token. */
  #begin(what: StreamRequest, request: IncomingMessage, socket: Socket, transport: string): StreamSession {
    const { tokens, sessions, metrics, log } = this.#parts;
    tokens.take(parseAddress(request.url)?.token ?? '');
    socket.setNoDelay(true);
    socket.setKeepAlive(true, keepAliveMs);
    metrics.opened(what.kind, transport, socket);
    const child = log.child({ kind: what.kind, transport, target: what.request.target });
    child.debug({ client: `${socket.remoteAddress}:${socket.remotePort}` }, 'stream opened');
    return sessions.add(what.kind, socket, child);
  }

  #follow(session: StreamSession, served: Promise<void>): void {
    served.catch((err: unknown) => {
      this.#parts.log.error({ err, kind: session.kind }, 'stream failed');
      session.socket.destroy();
    });
  }

  #find(request: IncomingMessage): StreamRequest | undefined {
    const address = parseAddress(request.url);
    const what = address === undefined ? undefined : this.#parts.tokens.peek(address.token);
    return what?.kind === address?.kind ? what : undefined;
  }

  #refuse(socket: Socket, reason: Refusal, status: number, message: string, headers: Readonly<Record<string, string>> = {}): void {
    this.#parts.metrics.refused(reason);
    refuse(socket, status, message, headers);
  }
}
