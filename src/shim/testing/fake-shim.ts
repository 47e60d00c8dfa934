import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { join } from 'node:path';
import { encodeFrame, FrameDecoder, messageType, parseControl } from '../protocol.ts';
import type { Frame, MessageType } from '../protocol.ts';
import type { NativeError } from '../native-error.ts';

type Reply = (type: MessageType, payload: object) => void;

interface State {
  state: string;
  pid: number;
  startedAt: string;
  finishedAt: string;
  exitCode: number;
  signal: number;
  oomKilled: boolean;
  logDropped: number;
  error: NativeError | null;
}

/** Stands in for berth-shim on a real socket: speaks docs/shim-protocol.md and leaves the same status.json. */
export class FakeShim {
  readonly id: string;
  readonly stateDir: string;
  /** Every request, in order. */
  readonly requests: { readonly type: MessageType; readonly payload: Record<string, unknown> }[] = [];
  /** Signals that end the container; SIGKILL always does. */
  endsOn: readonly number[] = [15];
  /** Hangs: answers no KILL and does not see its container die. */
  deaf = false;
  /** What START answers, when it is to fail. */
  startError: NativeError | undefined;
  /** What EXEC does after its OK; by default it prints its arguments and exits with 0. */
  onExec: (args: readonly string[], reply: Reply, socket: Socket) => void = (args, reply) => {
    reply(messageType.STDOUT, Buffer.from(args.join(' ')));
    reply(messageType.EXIT, { exitCode: 0, signal: 0 });
  };
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #subscribers = new Map<Socket, number>();
  readonly status: State = { state: 'creating', pid: 4242, startedAt: '0', finishedAt: '0', exitCode: 0, signal: 0, oomKilled: false, logDropped: 0, error: null };

  constructor(id: string, stateDir: string) {
    this.id = id;
    this.stateDir = stateDir;
    this.#server = createServer((socket) => this.#serve(socket));
  }

  async listen(state = 'created'): Promise<this> {
    await mkdir(this.stateDir, { recursive: true });
    this.status.state = state;
    await this.#write();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once('error', reject);
    this.#server.listen(join(this.stateDir, 'shim.sock'), resolve);
    await promise;
    return this;
  }

  signals(): number[] {
    return this.requests.filter(({ type }) => type === messageType.KILL).map(({ payload }) => Number(payload['signal']));
  }

  async change(event: string, changes: Partial<State>): Promise<void> {
    Object.assign(this.status, changes);
    await this.#write();
    for (const [socket, id] of this.#subscribers) socket.write(encodeFrame(messageType.EVENT, id, { event, ...this.#json() }));
  }

  async fail(error: NativeError): Promise<void> {
    await this.change('failed', { state: 'failed', error });
    this.close();
  }

  async exit(exitCode: number, signal = 0): Promise<void> {
    if (this.deaf || this.status.state === 'exited') return;
    await this.change('exited', { state: 'exited', exitCode, signal, finishedAt: '2000' });
    this.close();
  }

  /** Dies without a word: the socket goes, status.json stays as it was. */
  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.end();
  }

  /** Closes its connections and goes on listening. */
  drop(): void {
    for (const socket of this.#sockets) socket.end();
  }

  #json(): object {
    return { version: 1, id: this.id, shimPid: process.pid, createdAt: '500', user: { uid: 7, gid: 8, groups: [9] }, ...this.status };
  }

  async #write(): Promise<void> {
    await writeFile(join(this.stateDir, 'status.json'), JSON.stringify(this.#json()));
  }

  #serve(socket: Socket): void {
    const decoder = new FrameDecoder();
    this.#sockets.add(socket);
    socket.on('close', () => {
      this.#sockets.delete(socket);
      this.#subscribers.delete(socket);
    });
    socket.on('error', () => undefined);
    socket.write(encodeFrame(messageType.HELLO, 0, { version: 1, program: 'shim', pid: process.pid }));
    socket.on('data', (chunk: Buffer) => {
      for (const frame of decoder.push(chunk)) {
        this.#handle(socket, frame).catch((error: unknown) => socket.destroy(error instanceof Error ? error : new Error(String(error))));
      }
    });
  }

  async #handle(socket: Socket, frame: Frame): Promise<void> {
    if (frame.type === messageType.HELLO || frame.type === messageType.STDIN) return;
    const reply: Reply = (type, payload) => void socket.write(encodeFrame(type, frame.requestId, payload));
    const payload = parseControl(frame);
    this.requests.push({ type: frame.type, payload });
    if (frame.type === messageType.SUBSCRIBE) {
      this.#subscribers.set(socket, frame.requestId);
      reply(messageType.OK, this.#json());
    } else if (frame.type === messageType.START) await this.#start(reply);
    else if (frame.type === messageType.KILL) await this.#kill(Number(payload['signal']), reply);
    else if (frame.type === messageType.EXEC) {
      reply(messageType.OK, { pid: 4300 });
      this.onExec(payload['args'] as string[], reply, socket);
    } else reply(messageType.OK, {});
  }

  async #start(reply: Reply): Promise<void> {
    if (this.startError !== undefined) {
      reply(messageType.ERROR, this.startError);
      return this.change('exited', { state: 'exited', exitCode: 127, finishedAt: '2000', error: this.startError }).then(() => this.close());
    }
    await this.change('started', { state: 'running', startedAt: '1000' });
    reply(messageType.OK, { pid: this.status.pid, startedAt: '1000' });
  }

  async #kill(signal: number, reply: Reply): Promise<void> {
    if (this.deaf) return;
    reply(messageType.OK, {});
    if (signal === 9) await this.exit(137, 9);
    else if (this.endsOn.includes(signal)) await this.exit(128 + signal, signal);
  }
}
