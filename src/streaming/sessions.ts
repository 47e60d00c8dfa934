import type { Socket } from 'node:net';
import type { Logger } from 'pino';
import type { Clock } from '../telemetry/clock.ts';
import type { StreamKind } from './handshake.ts';

/** How often sessions are looked at, in ms. */
const checkInterval = 5_000;

/** How long a client may take to close its side after we have closed ours, in ms. */
const lingerMs = 30_000;

export interface SessionsOptions {
  /** A session on which nothing has moved for this long is ended. */
  readonly idleMs: number;
  readonly clock: Clock;
  readonly log: Logger;
}

/** One client, from its upgrade to the end of its connection. */
export interface StreamSession {
  readonly kind: StreamKind;
  readonly socket: Socket;
  /** Aborted when the client has gone, or has to. */
  readonly signal: AbortSignal;
  /** Writes something that a client which is alive ignores. */
  heartbeat: () => void;
}

interface Tracked extends StreamSession {
  readonly abort: AbortController;
  readonly log: Logger;
  /** Bytes that had come and gone when it was last seen to move. */
  moved: number;
  movedAt: bigint;
}

/**
 * The open sessions. While we do not read from a client, because the process does not read, its end would
 * not be noticed: it is sent a heartbeat then, which a dead client's machine answers with a reset.
 */
export class Sessions {
  readonly #options: SessionsOptions;
  readonly #open = new Set<Tracked>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: SessionsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#open.size;
  }

  add(kind: StreamKind, socket: Socket, log: Logger): StreamSession {
    const abort = new AbortController();
    const session: Tracked = {
      kind, socket, abort, log, signal: abort.signal, heartbeat: () => undefined, moved: 0, movedAt: this.#options.clock.nowNanos(),
    };
    this.#open.add(session);
    socket.once('end', () => {
      this.#gone(session, 'the client has closed the connection');
      socket.end();
    });
    socket.once('close', () => {
      this.#gone(session, 'the connection is closed');
      this.#open.delete(session);
    });
    // Ours is written; now the client is to close, too.
    socket.once('finish', () => {
      const late = setTimeout(() => socket.destroy(), lingerMs).unref();
      socket.once('close', () => clearTimeout(late));
    });
    this.#timer ??= setInterval(() => this.#check(), checkInterval).unref();
    return session;
  }

  /** Ends all of them. */
  close(): void {
    for (const session of this.#open) {
      this.#gone(session, 'berthd is shutting down');
      session.socket.destroy();
    }
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #gone(session: Tracked, reason: string): void {
    if (session.signal.aborted) return;
    session.abort.abort(new Error(reason));
    session.log.debug({ reason, received: session.socket.bytesRead, sent: session.socket.bytesWritten }, 'stream ended');
  }

  #check(): void {
    const { clock, idleMs } = this.#options;
    const now = clock.nowNanos();
    for (const session of this.#open) {
      const { socket } = session;
      const moved = socket.bytesRead + socket.bytesWritten;
      if (moved !== session.moved) session.movedAt = now;
      else if (now - session.movedAt >= BigInt(idleMs) * 1_000_000n) {
        session.log.info({ idleMs }, 'stream was idle for too long');
        this.#gone(session, 'the stream was idle for too long');
        socket.destroy();
        continue;
      }
      if (socket.isPaused()) session.heartbeat();
      session.moved = socket.bytesRead + socket.bytesWritten;
    }
    if (this.#open.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
