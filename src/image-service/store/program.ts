/** Runs one short-lived native program: input in, at most a line of output back. */

import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

export interface ProgramOutcome {
  /** Undefined when a signal ended it. */
  readonly exitCode: number | undefined;
  readonly signal: string | undefined;
  readonly stdout: string;
  /** The end of it. */
  readonly stderr: string;
}

/** Carries out a command line of a program, as runProgram does. */
export type RunCommand = (args: readonly string[], input: AsyncIterable<Buffer> | undefined, signal: AbortSignal) => Promise<ProgramOutcome>;

const maxOutput = 64 * 1024;

/**
 * Returns when the program has ended and nothing of it is left. An abort, or a failure of the input,
 * kills it and is thrown then. The program may end without reading all its input.
 */
export async function runProgram(
  path: string,
  args: readonly string[],
  input: AsyncIterable<Buffer> | undefined,
  signal: AbortSignal,
): Promise<ProgramOutcome> {
  signal.throwIfAborted();
  const child = spawn(path, [...args], {
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    env: {},
    cwd: '/',
  });
  const kill = (): void => {
    child.kill('SIGKILL');
  };
  signal.addEventListener('abort', kill, { once: true });
  try {
    const ended = outcome(child);
    // It may reject while the input is still being fed; it is awaited below in any case.
    ended.catch(() => undefined);
    const failure = input === undefined ? undefined : await feed(child, input);
    if (failure !== undefined) kill();
    const result = await ended;
    signal.throwIfAborted();
    if (failure !== undefined) throw failure;
    return result;
  } finally {
    signal.removeEventListener('abort', kill);
  }
}

/**
 * A program whose output is a stream. It is killed when the signal is aborted or when the reader of `output` stops;
 * `outcome` is to be awaited once the output has ended, and has no `stdout`.
 */
export function streamProgram(
  path: string,
  args: readonly string[],
  signal: AbortSignal,
): { readonly output: AsyncIterable<Buffer>; readonly outcome: Promise<ProgramOutcome> } {
  signal.throwIfAborted();
  const child = spawn(path, [...args], { stdio: ['ignore', 'pipe', 'pipe'], env: {}, cwd: '/' });
  const kill = (): void => {
    child.kill('SIGKILL');
  };
  signal.addEventListener('abort', kill, { once: true });
  const ended = Promise.all([collect(child.stderr), once(child, 'close') as Promise<[number | null, string | null]>]).finally(() =>
    signal.removeEventListener('abort', kill),
  );
  const done = ended.then(([stderr, [code, name]]) => ({ exitCode: code ?? undefined, signal: name ?? undefined, stdout: '', stderr }));
  done.catch(() => undefined);
  return { output: readToEnd(child.stdout, kill, signal), outcome: done };
}

async function* readToEnd(stream: Readable, kill: () => void, signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) yield chunk;
    signal.throwIfAborted();
  } finally {
    // A program that has ended does not mind.
    kill();
  }
}

/** Gives back the input's own failure; a program that stopped reading is told by its exit. */
async function feed(child: ChildProcess, input: AsyncIterable<Buffer>): Promise<Error | undefined> {
  if (child.stdin === null) return undefined;
  let inputFailure: Error | undefined;
  const watched = async function* (): AsyncGenerator<Buffer, void, undefined> {
    try {
      yield* input;
    } catch (failure) {
      inputFailure = failure instanceof Error ? failure : new Error(String(failure));
      throw failure;
    }
  };
  await pipeline(watched(), child.stdin).catch(() => undefined);
  return inputFailure;
}

async function outcome(child: ChildProcess): Promise<ProgramOutcome> {
  const [stdout, stderr, [code, signal]] = await Promise.all([
    collect(child.stdout),
    collect(child.stderr),
    once(child, 'close') as Promise<[number | null, string | null]>,
  ]);
  return { exitCode: code ?? undefined, signal: signal ?? undefined, stdout, stderr };
}

/** The last 64 KiB. */
async function collect(stream: Readable | null): Promise<string> {
  let text = Buffer.alloc(0);
  for await (const chunk of (stream ?? []) as AsyncIterable<Buffer>) {
    text = Buffer.concat([text, chunk]).subarray(-maxOutput);
  }
  return text.toString('utf8');
}
