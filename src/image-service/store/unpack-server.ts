/**
 * Has berth-unpack's commands carried out by one process of it, which forks for each: to start a process from berthd
 * itself stops berthd for as long as the kernel copies its page tables. The protocol is in native/unpack/serve.h.
 */

import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { constants } from 'node:os';
import type { Logger } from 'pino';
import { runProgram } from './program.ts';
import type { ProgramOutcome, RunCommand } from './program.ts';

export interface UnpackServerOptions {
  /** Absolute path of berth-unpack. */
  readonly program: string;
  /** Where its server listens; nobody but root may reach it there. */
  readonly socket: string;
  readonly log: Logger;
  /** Milliseconds without a command after which the process is ended, to be started again when needed. */
  readonly idle?: number;
}

/** What a path of a socket may have at most, in bytes: unix(7), without the final NUL. */
const longestPath = 107;

const maxOutput = 64 * 1024;

/** How a job's output ends; what stands before it is the command's. */
const ending = /(?:^|\n)(exit|signal) (\d+)\n$/;

export class UnpackServer {
  readonly #options: UnpackServerOptions;
  #server: Promise<ChildProcess> | undefined;
  #running = 0;
  #idle: NodeJS.Timeout | undefined;

  constructor(options: UnpackServerOptions) {
    this.#options = options;
  }

  /** As runProgram does, which it leaves the command to where no server can be had. */
  readonly run: RunCommand = async (args, input, signal) => {
    signal.throwIfAborted();
    clearTimeout(this.#idle);
    this.#running += 1;
    try {
      const server = await this.#started();
      const socket = server === undefined ? undefined : await connected(this.#options.socket);
      if (signal.aborted) socket?.destroy();
      signal.throwIfAborted();
      if (server === undefined || socket === undefined) return await runProgram(this.#options.program, args, input, signal);
      return await this.#runOn(new Job(socket, (number) => void server.stdin?.write(`${number}\n`)), args, input, signal);
    } finally {
      this.#running -= 1;
      if (this.#running === 0) this.#idle = setTimeout(() => void this.close(), this.#options.idle ?? 250).unref();
    }
  };

  /** Ends the server and what it runs, and waits for that. Another command would start it again. */
  async close(): Promise<void> {
    clearTimeout(this.#idle);
    const starting = this.#server;
    this.#server = undefined;
    const server = await starting?.catch(() => undefined);
    if (server === undefined) return;
    const ended = hasEnded(server) ? undefined : once(server, 'exit');
    server.stdin?.end();
    await ended;
    await rm(this.#options.socket, { force: true });
  }

  async #started(): Promise<ChildProcess | undefined> {
    if (Buffer.byteLength(this.#options.socket) > longestPath) return undefined;
    const starting = (this.#server ??= this.#start());
    try {
      const server = await starting;
      if (!hasEnded(server)) return server;
    } catch (failure) {
      this.#options.log.warn({ err: failure }, 'the unpacker\'s server does not start; each layer gets a process of its own');
    }
    if (this.#server === starting) this.#server = undefined;
    return undefined;
  }

  async #start(): Promise<ChildProcess> {
    const { program, socket, log } = this.#options;
    const server = spawn(program, ['serve', socket], { stdio: ['pipe', 'pipe', 'pipe'], env: {}, cwd: '/' });
    for (const stream of [server.stdin, server.stdout, server.stderr]) {
      stream?.on('error', () => undefined);
      // Nothing that waits for berthd's end is to wait for this one.
      (stream as Socket | null)?.unref();
    }
    server.unref();
    server.stderr?.on('data', (chunk: Buffer) => log.warn({ said: chunk.toString().trim() }, 'the unpacker complains'));
    const said = await new Promise<string>((resolve, reject) => {
      server.once('error', reject);
      server.once('exit', (code, name) => reject(new Error(`${program} serve ended with ${code ?? name}`)));
      server.stdout?.once('data', (chunk: Buffer) => resolve(chunk.toString()));
    });
    if (!said.startsWith('{}')) throw new Error(`${program} serve: ${said.trim()}`);
    return server;
  }

  async #runOn(job: Job, args: readonly string[], input: AsyncIterable<Buffer> | undefined, signal: AbortSignal): Promise<ProgramOutcome> {
    const kill = (): void => job.kill();
    signal.addEventListener('abort', kill, { once: true });
    try {
      const failure = await job.feed(args, input).then(() => undefined, asError);
      if (failure !== undefined) job.kill();
      const outcome = await job.outcome;
      signal.throwIfAborted();
      if (failure !== undefined) throw failure;
      return outcome;
    } finally {
      signal.removeEventListener('abort', kill);
    }
  }
}

/** Undefined where nobody listens. */
function connected(path: string): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => resolve(socket)).once('error', () => resolve(undefined));
  });
}

function asError(cause: unknown): Error {
  return cause instanceof Error ? cause : new Error(String(cause));
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

/** One command, on a connection of its own. */
class Job {
  /** Resolves when its process has ended, or the server with it. */
  readonly outcome: Promise<ProgramOutcome>;
  readonly #socket: Socket;
  readonly #kill: (number: string) => void;
  #said = '';
  #killed = false;

  constructor(socket: Socket, kill: (number: string) => void) {
    this.#socket = socket;
    this.#kill = kill;
    socket.setEncoding('utf8').on('data', (text: string) => this.#take(text));
    socket.on('error', () => undefined);
    this.outcome = new Promise((resolve) => {
      socket.once('close', () => resolve(outcomeOf(this.#said)));
    });
  }

  /** Hands over the command and its input; rejects as the input does. The command may end without reading all of it. */
  async feed(args: readonly string[], input: AsyncIterable<Buffer> | undefined): Promise<void> {
    await this.#write(header(args));
    const chunks = input?.[Symbol.asyncIterator]();
    while (chunks !== undefined) {
      const next = await Promise.race([chunks.next(), this.outcome]);
      if (!('done' in next)) {
        // Not waited for: it may itself wait for a chunk.
        chunks.return?.().catch(() => undefined);
        return;
      }
      if (next.done === true) break;
      await this.#write(next.value);
    }
    this.#socket.end();
  }

  /** The connection stays, to tell when the process is gone. */
  kill(): void {
    this.#killed = true;
    const number = this.#number;
    if (number !== undefined) this.#kill(number);
  }

  async #write(bytes: Buffer): Promise<void> {
    if (this.#socket.write(bytes)) return;
    await new Promise<void>((resolve) => {
      const go = (): void => {
        this.#socket.off('drain', go).off('close', go);
        resolve();
      };
      this.#socket.on('drain', go).on('close', go);
    });
  }

  #take(text: string): void {
    const known = this.#number !== undefined;
    this.#said = this.#said.length > 2 * maxOutput ? this.#said.slice(0, maxOutput) + text : this.#said + text;
    if (!known && this.#killed) this.kill();
    if (ending.test(this.#said)) this.#socket.destroy();
  }

  get #number(): string | undefined {
    return /^(\d+)\n/.exec(this.#said)?.[1];
  }
}

/** The arguments, each ending in NUL, behind their length. */
function header(args: readonly string[]): Buffer {
  const text = Buffer.from(args.map((argument) => `${argument}\0`).join(''));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(text.length);
  return Buffer.concat([length, text]);
}

function outcomeOf(said: string): ProgramOutcome {
  const [whole = '', how, number = ''] = ending.exec(said) ?? [];
  const stdout = said.slice(said.indexOf('\n') + 1, said.length - whole.length);
  if (how === 'exit') return { exitCode: Number(number), signal: undefined, stdout, stderr: '' };
  const signal = how === 'signal' ? signalName(Number(number)) : undefined;
  return { exitCode: undefined, signal, stdout, stderr: how === undefined ? 'its server has ended' : '' };
}

function signalName(number: number): string {
  return Object.entries(constants.signals).find(([, value]) => value === number)?.[0] ?? String(number);
}
