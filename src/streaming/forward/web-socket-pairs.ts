import type { WebSocket } from 'ws';
import type { ForwardRequest } from '../requests.ts';
import { WebSocketChannels } from '../web-socket/channels.ts';
import { PodPorts, relay } from './relay.ts';
import { parsePort } from './spdy-pairs.ts';

/** The protocol on a WebSocket's channels: for each port one for data and one for errors, the ports being known beforehand. */
export const webSocketForwardProtocols: ReadonlySet<string> = new Set(['v4.channel.k8s.io', 'v4.base64.channel.k8s.io']);

/** Two channels each, and a channel's number is one byte, in base64 one digit. */
const maxPorts = { binary: 127, base64: 5 } as const;

/** The ports of the request, or where it names none of the URL's query (`?port=80&port=81,82`). Throws RangeError when they make no sense. */
export function requestedPorts(request: ForwardRequest, url: string, protocol: string): number[] {
  const query = new URLSearchParams(url.split('?')[1] ?? '');
  const texts = request.ports.length > 0 ? request.ports.map(String) : query.getAll('port').flatMap((value) => value.split(','));
  const ports = texts.map((text) => {
    const port = parsePort(text);
    if (port === undefined) throw new RangeError(`"${text}" is no port`);
    return port;
  });
  const limit = maxPorts[protocol.includes('base64') ? 'base64' : 'binary'];
  if (ports.length === 0 || ports.length > limit) throw new RangeError(`${ports.length} ports: expected 1 to ${limit}, in the query parameter "port"`);
  return ports;
}

/** Connects all ports at once; each channel begins with its port, little endian. The WebSocket closes when all are over. Resolves when it is closed. */
export async function forwardChannels(socket: WebSocket, protocol: string, ports: readonly number[], request: ForwardRequest, signal: AbortSignal): Promise<void> {
  const connection = new WebSocketChannels(socket, {
    codec: protocol.includes('base64') ? 'base64' : 'binary',
    channels: ports.length * 2,
    closeSignals: false,
  });
  const pod = new PodPorts(request, signal);
  const relays = ports.map((port, index) => {
    const [data, error] = [connection.channel(index * 2), connection.channel(index * 2 + 1)];
    for (const channel of [data, error]) channel.write(littleEndian(port));
    error.resume();
    // The client cannot close one channel: the pod's end of it is the end.
    const podDone = new Promise<void>((resolve) => error.once('finish', resolve).once('close', resolve));
    return Promise.race([relay(pod, request.target, { port, data, error }), podDone]);
  });
  await Promise.race([Promise.all(relays), connection.closed]);
  connection.end();
  await connection.closed;
}

function littleEndian(port: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(port);
  return bytes;
}
