import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeMessage, MessageDecoder, messageKind } from '../dbus/message.ts';
import type { DbusMessage } from '../dbus/message.ts';
import type { DbusValue } from '../dbus/value.ts';

const begin = 'BEGIN\r\n';

/** A message bus on a socket of its own; it answers Hello, and what else the test says. */
export class FakeBus {
  readonly #directory: string;
  readonly #server: Server;
  readonly #clients = new Set<Socket>();
  /** What a client said before the first message. */
  heard = '';
  /** What it is answered. */
  greeting = 'OK 1234\r\n';
  onCall: (call: DbusMessage, bus: FakeBus) => void = () => undefined;

  static async start(): Promise<FakeBus> {
    const bus = new FakeBus(await mkdtemp(join(tmpdir(), 'berth-bus-')));
    await new Promise<void>((resolve) => bus.#server.listen(bus.socket, resolve));
    return bus;
  }

  private constructor(directory: string) {
    this.#directory = directory;
    this.#server = createServer((client) => this.#serve(client));
  }

  get socket(): string {
    return join(this.#directory, 'bus');
  }

  reply(call: DbusMessage, signature = '', body: readonly DbusValue[] = []): void {
    this.send(encodeMessage({ kind: messageKind.reply, serial: 1, replyTo: call.serial, signature, body }));
  }

  refuse(call: DbusMessage, errorName: string, text: string): void {
    this.send(encodeMessage({ kind: messageKind.error, serial: 1, replyTo: call.serial, errorName, signature: 's', body: [text] }));
  }

  signal(from: Pick<DbusMessage, 'path' | 'interface' | 'member'>, signature = '', body: readonly DbusValue[] = []): void {
    this.send(encodeMessage({ kind: messageKind.signal, serial: 1, ...from, signature, body }));
  }

  send(bytes: Buffer | string): void {
    for (const client of this.#clients) client.write(bytes);
  }

  /** Hangs up on everybody. */
  drop(): void {
    for (const client of this.#clients) client.destroy();
  }

  async stop(): Promise<void> {
    this.drop();
    await new Promise((resolve) => this.#server.close(resolve));
    await rm(this.#directory, { recursive: true });
  }

  #serve(client: Socket): void {
    const decoder = new MessageDecoder();
    let text = '';
    this.#clients.add(client);
    client.on('error', () => undefined);
    client.on('close', () => this.#clients.delete(client));
    client.on('data', (chunk: Buffer) => {
      if (text.endsWith(begin)) return this.#dispatch(decoder, chunk);
      text += chunk.toString('latin1');
      this.heard = text;
      const at = text.indexOf(begin);
      if (at < 0) return void client.write(this.greeting);
      const rest = Buffer.from(text.slice(at + begin.length), 'latin1');
      text = text.slice(0, at + begin.length);
      this.#dispatch(decoder, rest);
    });
  }

  #dispatch(decoder: MessageDecoder, chunk: Buffer): void {
    for (const call of decoder.push(chunk)) {
      if (call.member === 'Hello') this.reply(call, 's', [':1.7']);
      else this.onCall(call, this);
    }
  }
}
