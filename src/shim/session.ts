import { Readable, Writable } from 'node:stream';
import { BerthError } from '../errors/catalogue.ts';
import { Channel } from './channel.ts';
import { connectShim } from './connect.ts';
import { maxDataBytes, messageType, parseControl } from './protocol.ts';
import type { Frame, MessageType } from './protocol.ts';
import { usedUp } from './received-memory.ts';

export interface ShimTarget {
  /** Of the container. */
  readonly id: string;
  /** Where its shim listens. */
  readonly stateDir: string;
}

export interface ExecRequest {
  readonly args: readonly string[];
  readonly terminal: boolean;
  readonly stdin: boolean;
  /** The terminal's first size; 0 for one that comes later by `resize`. */
  readonly columns?: number;
  readonly rows?: number;
}

export interface AttachRequest {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
}

export interface ProcessExit {
  /** 128 + signal for one that a signal ended. */
  readonly exitCode: number;
  /** 0: none. */
  readonly signal: number;
}

/**
 * The standard streams of a process in a container, on a connection of their own. Nothing is buffered
 * without bound: who does not read `stdout` or `stderr` holds up both, and in the end the process; a
 * process that does not read holds up the writer of `stdin`.
 *
 * The streams emit no 'error', and each output ends, whatever happens: `exited` tells what did.
 */
export interface ProcessSession {
  /** Ending it closes the process's standard input, except for a terminal's, and for an attach unless the container is stdin_once. Without `stdin`, and after the end, it discards. */
  readonly stdin: Writable;
  /** With a terminal all of the output. Destroying an output discards what is still to come. */
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** How the process ended (with an attach: the container's first), after the ends of its outputs. Rejects with SHIM_UNAVAILABLE when the connection ended first, also by `close`. */
  readonly exited: Promise<ProcessExit>;
  /** The terminal's size, in characters; nothing without a terminal. */
  resize(columns: number, rows: number): void;
  /** Ends the connection: kills all processes of an exec, detaches an attach. */
  close(): void;
}

/** Starts a command in a container. Rejects with NativeFailure when it does not start, SHIM_UNAVAILABLE, or the signal's reason; the signal counts up to the start. */
export async function openExec(target: ShimTarget, request: ExecRequest, signal: AbortSignal): Promise<ProcessSession> {
  const { args, terminal, stdin, columns = 0, rows = 0 } = request;
  const payload = { args, terminal, stdin, columns: within(columns), rows: within(rows) };
  return new Session(target, await connectShim(target.stateDir, target.id, signal), stdin).open(messageType.EXEC, payload, signal);
}

/** Joins the streams of the container's own process. Any number may do so; each is served all output from now on. Rejects like `openExec`. */
export async function openAttach(target: ShimTarget, request: AttachRequest, signal: AbortSignal): Promise<ProcessSession> {
  const { stdin, stdout, stderr } = request;
  const session = new Session(target, await connectShim(target.stateDir, target.id, signal), stdin);
  // What is not asked for has no end of its own to wait for.
  if (!stdout) session.stdout.finish();
  if (!stderr) session.stderr.finish();
  return session.open(messageType.ATTACH, { stdin, stdout, stderr }, signal);
}

/** A terminal's sides are 16 bits wide. */
const within = (side: number): number => (Number.isSafeInteger(side) && side > 0 ? Math.min(side, 0xffff) : 0);

class Session implements ProcessSession {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly stdin: Writable;
  readonly #exited = Promise.withResolvers<ProcessExit>();
  readonly #channel: Channel;
  #id = 0;
  #over = false;
  #pendingWrite: (() => void) | undefined;

  constructor(target: ShimTarget, socket: Awaited<ReturnType<typeof connectShim>>, withStdin: boolean) {
    const flow = () => this.#channel.setPaused(this.stdout.stalled || this.stderr.stalled);
    this.stdout = new Output(flow);
    this.stderr = new Output(flow);
    this.stdin = new Writable({
      write: (chunk: Buffer, _encoding, done) => (withStdin ? this.#write(chunk, 0, done) : done()),
      final: (done) => {
        if (withStdin && !this.#over) this.#channel.send(messageType.STDIN, this.#id, Buffer.alloc(0));
        done();
      },
    });
    this.#exited.promise.catch(() => undefined);
    this.#channel = new Channel(socket, {
      peer: `shim of container ${target.id}`,
      onFrame: (frame) => this.#take(frame),
      onClose: (error) => this.#finish(() => this.#exited.reject(error)),
    });
  }

  async open(type: MessageType, payload: object, signal: AbortSignal): Promise<ProcessSession> {
    try {
      const { id, reply } = this.#channel.open(type, payload, signal);
      this.#id = id;
      await reply;
      return this;
    } catch (cause) {
      this.close();
      throw cause;
    }
  }

  get exited(): Promise<ProcessExit> {
    return this.#exited.promise;
  }

  resize(columns: number, rows: number): void {
    const size = { columns: within(columns), rows: within(rows) };
    if (!this.#over && size.columns > 0 && size.rows > 0) this.#channel.send(messageType.RESIZE, this.#id, size);
  }

  close(): void {
    this.#channel.close();
  }

  #take(frame: Frame): void {
    if (frame.type === messageType.STDOUT) this.stdout.deliver(frame.payload);
    else if (frame.type === messageType.STDERR) this.stderr.deliver(frame.payload);
    else if (frame.type === messageType.EXIT) {
      const exit = readExit(parseControl(frame));
      this.#finish(() => this.#exited.resolve(exit));
      this.#channel.close();
    }
  }

  /** Sends `chunk` from `from` on, in frames, as fast as the socket takes them. */
  #write(chunk: Buffer, from: number, done: () => void): void {
    let at = from;
    while (at < chunk.length && !this.#over) {
      const part = chunk.subarray(at, at + maxDataBytes);
      at += part.length;
      const more = this.#channel.sendData(messageType.STDIN, this.#id, part, () => usedUp(part));
      if (more) continue;
      this.#pendingWrite = () => {
        this.#pendingWrite = undefined;
        this.#write(chunk, at, done);
      };
      if (!this.#over) this.#channel.onDrain(() => this.#pendingWrite?.());
      return;
    }
    done();
  }

  #finish(settle: () => void): void {
    if (this.#over) return;
    this.#over = true;
    this.#pendingWrite?.();
    this.stdout.finish();
    this.stderr.finish();
    settle();
  }
}

/** One output. It is `stalled` from when its buffer is full until somebody reads. */
class Output extends Readable {
  stalled = false;
  readonly #flow: () => void;
  #ended = false;

  constructor(flow: () => void) {
    super({ highWaterMark: 2 * maxDataBytes });
    this.#flow = flow;
  }

  deliver(bytes: Buffer): void {
    if (bytes.length === 0) return this.finish();
    if (this.#ended || this.destroyed || this.push(bytes)) return;
    this.stalled = true;
    this.#flow();
  }

  finish(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.push(null);
  }

  override _read(): void {
    this.#release();
  }

  override _destroy(_error: Error | null, done: () => void): void {
    this.#release();
    done();
  }

  #release(): void {
    if (!this.stalled) return;
    this.stalled = false;
    this.#flow();
  }
}

/** The payload of EXIT. Throws SHIM_PROTOCOL when it is none. */
export function readExit(payload: Record<string, unknown>): ProcessExit {
  const { exitCode, signal } = payload;
  if (typeof exitCode !== 'number') throw new BerthError('SHIM_PROTOCOL', 'EXIT without exitCode');
  return { exitCode, signal: typeof signal === 'number' ? signal : 0 };
}
