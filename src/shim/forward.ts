import { rm } from 'node:fs/promises';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { getSystemErrorName } from 'node:util';
import { BerthError } from '../errors/catalogue.ts';
import type { Launcher } from './launcher.ts';

export interface ForwardTarget {
  /** What messages call it: "sandbox 0123…". */
  readonly name: string;
  /** Pin file of the network namespace; empty for the host's. */
  readonly netns: string;
  /** Path for a socket, in a directory that exists; at most 107 bytes (unix(7)). No two forwarders may share one. */
  readonly socket: string;
}

/** A process in a pod's network namespace that connects to the pod's localhost for us. */
export interface Forwarder {
  /**
   * Connects to 127.0.0.1:port, then [::1]:port. The socket allows half-open connections: `end()` and
   * 'end' are the halves' closes. Rejects with FORWARD_REFUSED when nobody listens, FORWARD_FAILED, or the
   * signal's reason.
   */
  connect(port: number, signal: AbortSignal): Promise<Socket>;
  /** Resolves when the forwarder is gone, by `close` or by its death; its connections have ended then, too. */
  readonly closed: Promise<void>;
  /** Ends it and all of its connections. */
  close(): void;
}

/** Starts a forwarder. Rejects with NativeFailure (steps `socket`, `namespace`), LAUNCHER_UNAVAILABLE, FORWARD_FAILED, or the signal's reason. */
export async function openForwarder(launcher: Pick<Launcher, 'forward'>, target: ForwardTarget, signal: AbortSignal): Promise<Forwarder> {
  await launcher.forward({ net: target.netns, socket: target.socket }, signal);
  const sockets = new Set<Socket>();
  const control = await dial(target, signal);
  const closed = Promise.withResolvers<void>();
  control.on('close', () => {
    for (const socket of sockets) socket.destroy();
    // The forwarder does so itself, unless it was killed.
    rm(target.socket, { force: true }).then(closed.resolve, () => closed.resolve());
  });
  control.on('end', () => control.destroy());
  control.resume();
  return {
    closed: closed.promise,
    connect: async (port, abort) => {
      if (!Number.isInteger(port) || port < 1 || port > 65535) throw new BerthError('FORWARD_FAILED', `${target.name}: ${port} is no port`);
      if (control.destroyed) throw new BerthError('FORWARD_FAILED', `${target.name}: port ${port}: the forwarder is gone`);
      const socket = await dial(target, abort);
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
      try {
        await ask(socket, port, target, abort);
        return socket;
      } catch (cause) {
        socket.destroy();
        throw cause;
      }
    },
    close: () => control.destroy(),
  };
}

function dial(target: ForwardTarget, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const socket = connect({ path: target.socket, allowHalfOpen: true });
    const onAbort = (): void => {
      socket.destroy();
      reject(signal.reason as Error);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    // It stays: an error between here and the socket's next owner must not end the process.
    socket.on('error', (cause) => {
      signal.removeEventListener('abort', onAbort);
      reject(new BerthError('FORWARD_FAILED', `${target.name}: the forwarder does not answer: ${cause.message}`, { cause }));
    });
    socket.once('connect', () => {
      signal.removeEventListener('abort', onAbort);
      resolve(socket);
    });
  });
}

const answerBytes = 4;

/** Sends the port and takes the answer off the stream; what follows it stays there. */
function ask(socket: Socket, port: number, target: ForwardTarget, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const onReadable = (): void => {
    const answer = socket.read(answerBytes) as Buffer | null;
    if (answer === null) return;
    if (answer.length < answerBytes) return onEnd();
    const errno = answer.readUInt32BE(0);
    if (errno === 0) resolve();
    else reject(refusal(target, port, errno));
  };
  const onEnd = (): void => reject(new BerthError('FORWARD_FAILED', `${target.name}: port ${port}: the forwarder is gone`));
  const onAbort = (): void => reject(signal.reason as Error);
  socket.on('readable', onReadable).once('end', onEnd).once('close', onEnd);
  signal.addEventListener('abort', onAbort, { once: true });
  const header = Buffer.alloc(2);
  header.writeUInt16BE(port);
  socket.write(header);
  return promise.finally(() => {
    socket.off('readable', onReadable).off('end', onEnd).off('close', onEnd);
    signal.removeEventListener('abort', onAbort);
  });
}

function refusal(target: ForwardTarget, port: number, errno: number): BerthError {
  const name = errnoName(errno);
  return name === 'ECONNREFUSED'
    ? new BerthError('FORWARD_REFUSED', `${target.name}: nothing listens on localhost port ${port} [${name}]`)
    : new BerthError('FORWARD_FAILED', `${target.name}: connecting to localhost port ${port} [${name}]`);
}

function errnoName(errno: number): string {
  try {
    return getSystemErrorName(-errno);
  } catch {
    return `errno ${errno}`;
  }
}
