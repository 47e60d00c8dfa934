import { createConnection } from 'node:net';
import type { Socket } from 'node:net';
import { authenticate } from './authenticate.ts';
import { DbusError } from './dbus-error.ts';
import { encodeMessage, MessageDecoder, messageKind } from './message.ts';
import type { DbusMessage } from './message.ts';
import type { DbusValue } from './value.ts';

export interface DbusCall {
  readonly destination: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly signature?: string;
  readonly body?: readonly DbusValue[];
}

interface Waiting {
  readonly resolve: (body: readonly DbusValue[]) => void;
  readonly reject: (cause: Error) => void;
}

/** "NO_REPLY_EXPECTED" is not set: the bus itself answers a call to a name that nobody has. */
const bus = { destination: 'org.freedesktop.DBus', path: '/org/freedesktop/DBus', interface: 'org.freedesktop.DBus' } as const;

/**
 * A client's connection to a message bus: calls, and signals that were asked for. When the other side closes or
 * says what makes no sense, everything in flight fails and the connection is over; the next one is the caller's.
 */
export class DbusConnection {
  readonly #socket: Socket;
  readonly #decoder = new MessageDecoder();
  readonly #waiting = new Map<number, Waiting>();
  readonly #onSignal: (signal: DbusMessage) => void;
  readonly #onClose: () => void;
  #serial = 0;
  #ended: Error | undefined;

  /** Connects to the socket at `path`, as the user that this process is, and says hello to the bus. */
  static async open(
    path: string,
    on: { readonly signal: (signal: DbusMessage) => void; readonly close: () => void },
    signal: AbortSignal,
  ): Promise<DbusConnection> {
    const socket = createConnection({ path });
    try {
      const first = await authenticate(socket, signal);
      const connection = new DbusConnection(socket, on);
      connection.#receive(first);
      await connection.call({ ...bus, member: 'Hello' }, signal);
      return connection;
    } catch (cause) {
      socket.destroy();
      throw cause;
    }
  }

  private constructor(socket: Socket, on: { readonly signal: (signal: DbusMessage) => void; readonly close: () => void }) {
    this.#socket = socket;
    this.#onSignal = on.signal;
    this.#onClose = on.close;
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('error', (cause) => this.#end(new DbusError(`the bus is gone: ${cause.message}`, '', { cause })));
    socket.on('close', () => this.#end(new DbusError('the bus has closed the connection')));
  }

  get open(): boolean {
    return this.#ended === undefined;
  }

  /** Asks the bus for signals that match (D-Bus Specification, "Match Rules"). */
  async match(rule: string, signal: AbortSignal): Promise<void> {
    await this.call({ ...bus, member: 'AddMatch', signature: 's', body: [rule] }, signal);
  }

  /** The body of the reply. Rejects with DbusError, or with the signal's reason when the reply is no longer waited for. */
  call(call: DbusCall, signal: AbortSignal): Promise<readonly DbusValue[]> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    this.#serial = (this.#serial % 0xffff_ffff) + 1;
    const serial = this.#serial;
    let message: Buffer;
    try {
      message = encodeMessage({ ...call, kind: messageKind.call, serial });
    } catch (cause) {
      return Promise.reject(cause as Error);
    }
    return new Promise((resolve, reject) => {
      const give = (): void => {
        this.#waiting.delete(serial);
        reject(signal.reason as Error);
      };
      const done = <Value>(settle: (value: Value) => void) => (value: Value): void => {
        signal.removeEventListener('abort', give);
        settle(value);
      };
      signal.addEventListener('abort', give, { once: true });
      this.#waiting.set(serial, { resolve: done(resolve), reject: done(reject) });
      this.#socket.write(message);
    });
  }

  close(): void {
    this.#end(new DbusError('the connection is closed'));
  }

  #receive(chunk: Buffer): void {
    if (this.#ended !== undefined) return;
    try {
      for (const message of this.#decoder.push(chunk)) this.#dispatch(message);
    } catch (cause) {
      this.#end(cause as Error);
    }
  }

  #dispatch(message: DbusMessage): void {
    if (message.kind === messageKind.signal) return this.#onSignal(message);
    const waiting = this.#waiting.get(message.replyTo);
    if (waiting === undefined) return;
    this.#waiting.delete(message.replyTo);
    if (message.kind === messageKind.reply) waiting.resolve(message.body);
    else waiting.reject(new DbusError(typeof message.body[0] === 'string' ? message.body[0] : message.errorName, message.errorName));
  }

  #end(reason: Error): void {
    if (this.#ended !== undefined) return;
    this.#ended = reason;
    this.#socket.destroy();
    for (const { reject } of this.#waiting.values()) reject(reason);
    this.#waiting.clear();
    this.#onClose();
  }
}
