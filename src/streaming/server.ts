import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import type { Clock } from '../telemetry/clock.ts';
import { Door } from './door.ts';
import { listen } from './listen.ts';
import type { ListenOptions } from './listen.ts';
import { createStreamMetrics } from './metrics.ts';
import type { StreamUrls } from './requests.ts';
import type { StreamRequest } from './serve.ts';
import { Sessions } from './sessions.ts';
import { Tokens } from './tokens.ts';

export interface StreamingOptions extends ListenOptions {
  /** Of sessions open at once. */
  readonly maxSessions: number;
  /** Of URLs given out and not used. */
  readonly maxPending: number;
  /** A session on which nothing moves for this long is ended. */
  readonly idleMs: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Registry;
}

export interface StreamingServer {
  /** Where it is reached: `http://127.0.0.1:41234`. */
  readonly url: string;
  readonly urls: StreamUrls;
  /** Cuts the sessions that are open. */
  close(): Promise<void>;
}

/** As long as a kubelet takes from the RPC's answer to the connection, with a wide margin. */
const tokenLifetimeMs = 60_000;

/** Serves the URLs of Exec, Attach and PortForward. Throws CONFIG_INVALID and HOST_UNSUITABLE. */
export async function startStreamingServer(options: StreamingOptions): Promise<StreamingServer> {
  const { clock, maxPending, maxSessions, metrics: registry } = options;
  const log = options.log.child({ component: 'streaming' });
  const { server, url } = await listen(options);
  const tokens = new Tokens<StreamRequest>({ maxPending, lifetimeMs: tokenLifetimeMs, clock });
  const metrics = createStreamMetrics({ registry, pending: () => tokens.size });
  const door = new Door({ maxSessions, tokens, metrics, sessions: new Sessions({ idleMs: options.idleMs, clock, log }), log });
  server.on('request', (request: IncomingMessage, response: ServerResponse) => door.turnAway(request, response));
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => door.admit(request, socket as Socket, head));
  log.info({ url }, 'streaming server');

  const give = (what: StreamRequest): string => {
    try {
      return `${url}/${what.kind}/${tokens.issue(what)}`;
    } catch (cause) {
      metrics.refused('pending');
      throw cause;
    }
  };
  return {
    url,
    urls: {
      exec: (request) => give({ kind: 'exec', request }),
      attach: (request) => give({ kind: 'attach', request }),
      portForward: (request) => give({ kind: 'portforward', request }),
    },
    async close() {
      tokens.close();
      door.close();
      server.closeAllConnections();
      await server[Symbol.asyncDispose]();
    },
  };
}
