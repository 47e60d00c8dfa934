/** Turns an HTTP connection into a SPDY one, as a client. */

import { request } from 'node:http';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { request as requestTls } from 'node:https';
import type { Socket } from 'node:net';

export interface Upgraded {
  readonly socket: Socket;
  /** X-Stream-Protocol-Version of the answer. */
  readonly protocol: string | undefined;
}

/** The server answered without upgrading. */
export class UpgradeRefused extends Error {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];

  constructor(response: IncomingMessage, body: string) {
    super(`${response.statusCode}: ${body}`);
    this.status = response.statusCode ?? 0;
    this.headers = response.headers;
  }
}

/** To SPDY. Any certificate will do. */
export function upgrade(url: string, protocols: readonly string[]): Promise<Upgraded> {
  const headers: Record<string, string | string[]> = { Connection: 'Upgrade', Upgrade: 'SPDY/3.1' };
  if (protocols.length > 0) headers['X-Stream-Protocol-Version'] = [...protocols];
  return upgradeWith(url, 'POST', headers);
}

/** With whatever headers. Rejects with UpgradeRefused. */
export function upgradeWith(url: string, method: 'GET' | 'POST', headers: Readonly<Record<string, string | string[]>>): Promise<Upgraded> {
  return new Promise((resolve, reject) => {
    const options = { method, headers: { ...headers }, rejectUnauthorized: false };
    const sent: ClientRequest = url.startsWith('https:') ? requestTls(url, options) : request(url, options);
    sent.once('error', reject);
    sent.once('upgrade', (response, socket, head) => {
      if (head.length > 0) socket.unshift(head);
      const protocol = response.headers['x-stream-protocol-version'];
      resolve({ socket: socket as Socket, protocol: Array.isArray(protocol) ? protocol[0] : protocol });
    });
    sent.once('response', (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      response.once('end', () => reject(new UpgradeRefused(response, body.trim())));
    });
    sent.end();
  });
}
