/** What happens on a connection once it has been upgraded, for each kind of session and each way to carry it. */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import { untilAborted } from '../state/keyed-lock.ts';
import { runCommand } from './command/run.ts';
import { SpdyCommandStreams, spdyCommandProtocols } from './command/spdy-channels.ts';
import { openCommandChannels, webSocketCommandProtocols } from './command/web-socket-channels.ts';
import { ForwardPairs, spdyForwardProtocols, tunnelForwardProtocols } from './forward/spdy-pairs.ts';
import { forwardChannels, requestedPorts, webSocketForwardProtocols } from './forward/web-socket-pairs.ts';
import type { StreamKind, Upgrade } from './handshake.ts';
import type { ForwardRequest, ProcessRequest } from './requests.ts';
import type { StreamSession } from './sessions.ts';
import { SpdySession } from './spdy/session.ts';
import { WebSocketTunnel } from './web-socket/tunnel.ts';

/** What a token stands for. */
export type StreamRequest =
  | { readonly kind: 'exec' | 'attach'; readonly request: ProcessRequest }
  | { readonly kind: 'portforward'; readonly request: ForwardRequest };

/** How long a client may take to open the streams of its command, in ms: as long as a kubelet gives it. */
const streamPatience = 30_000;

/** Streams open at once in a command's session: those of the protocol, and room for mistakes. */
const maxCommandStreams = 16;
/** In a port-forward: two for each connection. */
const maxForwardStreams = 2048;

/** The protocols that are spoken, by what they travel on. */
export function supportedProtocols(kind: StreamKind, upgrade: Upgrade): ReadonlySet<string> {
  if (kind !== 'portforward') return upgrade === 'spdy' ? spdyCommandProtocols : webSocketCommandProtocols;
  return upgrade === 'spdy' ? spdyForwardProtocols : new Set([...tunnelForwardProtocols, ...webSocketForwardProtocols]);
}

/** Resolves when the session is over. */
export async function serveSpdy(what: StreamRequest, protocol: string, transport: Duplex, session: StreamSession): Promise<void> {
  if (what.kind === 'portforward') return await serveForwardStreams(what.request, transport, session);
  const streams = new SpdyCommandStreams(what.request, protocol);
  const spdy = new SpdySession(transport, { maxStreams: maxCommandStreams, onStream: (stream) => streams.take(stream) });
  session.heartbeat = () => spdy.ping();
  try {
    await untilAborted(streams.complete, AbortSignal.any([session.signal, AbortSignal.timeout(streamPatience)]));
  } catch {
    const message = `${what.request.target}: the client has not opened the streams that it had asked for`;
    return streams.channels(spdy).finish({ outcome: 'error', message });
  }
  await runCommand(what.kind, what.request, streams.channels(spdy), session.signal);
}

async function serveForwardStreams(request: ForwardRequest, transport: Duplex, session: StreamSession): Promise<void> {
  const pairs = new ForwardPairs(request, session.signal);
  const spdy = new SpdySession(transport, { maxStreams: maxForwardStreams, onStream: (stream) => pairs.take(stream) });
  session.heartbeat = () => spdy.ping();
  await spdy.closed;
}

/** What is wrong with a WebSocket request beyond its headers; undefined when nothing is. */
export function webSocketProblem(what: StreamRequest, protocol: string, request: IncomingMessage): string | undefined {
  if (what.kind !== 'portforward' || tunnelForwardProtocols.has(protocol)) return undefined;
  try {
    requestedPorts(what.request, request.url ?? '', protocol);
    return undefined;
  } catch (cause) {
    return cause instanceof Error ? cause.message : String(cause);
  }
}

/** Resolves when the session is over. */
export async function serveWebSocket(what: StreamRequest, protocol: string, socket: WebSocket, url: string, session: StreamSession): Promise<void> {
  session.heartbeat = () => socket.ping();
  if (what.kind !== 'portforward') {
    const { channels } = openCommandChannels(socket, protocol, what.request);
    return await runCommand(what.kind, what.request, channels, session.signal);
  }
  if (tunnelForwardProtocols.has(protocol)) return await serveForwardStreams(what.request, new WebSocketTunnel(socket), session);
  await forwardChannels(socket, protocol, requestedPorts(what.request, url, protocol), what.request, session.signal);
}
