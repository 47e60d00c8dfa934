import { Counter, Gauge, type Registry } from 'prom-client';
import type { Socket } from 'node:net';
import type { StreamKind } from './handshake.ts';

/** Why a client was turned away. */
export type Refusal = 'token' | 'sessions' | 'protocol' | 'pending';

export interface StreamMetrics {
  refused(reason: Refusal): void;
  /** Counts a session and its bytes until the socket closes. */
  opened(kind: StreamKind, transport: string, socket: Socket): void;
}

export interface StreamMetricsOptions {
  readonly registry: Registry;
  /** Of tokens given out and not used. */
  readonly pending: () => number;
}

const kinds: readonly StreamKind[] = ['exec', 'attach', 'portforward'];

export function createStreamMetrics({ registry, pending }: StreamMetricsOptions): StreamMetrics {
  const registers = [registry];
  const open = new Map<Socket, StreamKind>();
  const bytes = byteCounter(registry, open);
  const sessions = new Gauge({ name: 'berth_stream_sessions', help: 'Open exec, attach and port-forward sessions.', labelNames: ['kind'], registers });
  for (const kind of kinds) sessions.set({ kind }, 0);
  const total = new Counter({ name: 'berth_stream_sessions_total', help: 'Sessions that were opened.', labelNames: ['kind', 'transport'], registers });
  const refused = new Counter({ name: 'berth_stream_refused_total', help: 'Clients that were turned away.', labelNames: ['reason'], registers });
  new Gauge({
    name: 'berth_stream_pending_tokens',
    help: 'URLs given out that nobody has used yet.',
    registers,
    collect() {
      this.set(pending());
    },
  });
  return {
    refused: (reason) => refused.inc({ reason }),
    opened: (kind, transport, socket) => {
      open.set(socket, kind);
      sessions.inc({ kind });
      total.inc({ kind, transport });
      socket.once('close', () => {
        open.delete(socket);
        sessions.dec({ kind });
        bytes.add(kind, socket);
      });
    },
  };
}

/** What came and went on the wire: of sessions that are over, and of those that are open whenever somebody asks. */
function byteCounter(registry: Registry, open: ReadonlyMap<Socket, StreamKind>): { add(kind: StreamKind, socket: Socket): void } {
  const past = new Map(kinds.map((kind) => [kind, { received: 0, sent: 0 }]));
  const addTo = (sums: typeof past, kind: StreamKind, socket: Socket): void => {
    const { received, sent } = sums.get(kind) ?? { received: 0, sent: 0 };
    sums.set(kind, { received: received + socket.bytesRead, sent: sent + socket.bytesWritten });
  };
  new Counter({
    name: 'berth_stream_bytes_total',
    help: 'Bytes on the connections of streaming sessions, by direction as seen from berthd.',
    labelNames: ['kind', 'direction'],
    registers: [registry],
    collect() {
      const sums = new Map(past);
      for (const [socket, kind] of open) addTo(sums, kind, socket);
      this.reset();
      for (const [kind, { received, sent }] of sums) {
        this.inc({ kind, direction: 'received' }, received);
        this.inc({ kind, direction: 'sent' }, sent);
      }
    },
  });
  return { add: (kind, socket) => addTo(past, kind, socket) };
}
