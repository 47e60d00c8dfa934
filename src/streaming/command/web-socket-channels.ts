import type { WebSocket } from 'ws';
import type { ProcessRequest } from '../requests.ts';
import { WebSocketChannels } from '../web-socket/channels.ts';
import type { CommandChannels } from './channels.ts';
import { encodeStatus } from './status.ts';

/**
 * The versions of the remote command protocol over WebSocket. From version 4 on the error channel holds a
 * metav1.Status; 5 lets the client close its standard input. Without a version it is the first.
 */
export const webSocketCommandProtocols: ReadonlySet<string> = new Set([
  'v5.channel.k8s.io', 'v4.channel.k8s.io', 'v4.base64.channel.k8s.io', 'channel.k8s.io', 'base64.channel.k8s.io',
]);

const channelNumber = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4 } as const;

export function openCommandChannels(socket: WebSocket, protocol: string, request: ProcessRequest): { channels: CommandChannels; closed: Promise<void> } {
  const connection = new WebSocketChannels(socket, {
    codec: protocol.includes('base64') ? 'base64' : 'binary',
    channels: Object.keys(channelNumber).length,
    closeSignals: protocol.startsWith('v5.'),
  });
  const channel = (name: keyof typeof channelNumber) => connection.channel(channelNumber[name]);
  const asked = (['stdin', 'stdout', 'stderr'] as const).filter((name) => request[name]);
  for (const name of ['stdin', 'stdout', 'stderr', 'error'] as const) {
    // What the client sends where nobody listens must not hold up the rest.
    if (name !== 'stdin' || !request.stdin) channel(name).resume();
  }
  // Clients take the first message of an output as the sign that they are connected.
  connection.announce(channelNumber[asked.find((name) => name !== 'stdin') ?? 'error']);
  const resize = channel('resize');
  if (!request.terminal) resize.resume();
  const format = /^v[45]\./.test(protocol) ? 'status' : 'text';
  return {
    closed: connection.closed,
    channels: {
      stdin: request.stdin ? channel('stdin') : undefined,
      stdout: request.stdout ? channel('stdout') : undefined,
      stderr: request.stderr ? channel('stderr') : undefined,
      resize: request.terminal ? resize : undefined,
      finish: (status) => {
        channel('error').write(encodeStatus(status, format));
        connection.end();
      },
    },
  };
}
