import { Channel } from './channel.ts';
import { connectShim } from './connect.ts';
import { messageType, parseControl } from './protocol.ts';
import type { Frame } from './protocol.ts';
import { readExit } from './session.ts';

export interface ExecResult {
  readonly exitCode: number;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
}

/**
 * Collects at most `limit` bytes and discards the rest, so that a command's output cannot exhaust the
 * daemon (CVE-2022-1708).
 */
class CappedOutput {
  readonly #limit: number;
  readonly #chunks: Buffer[] = [];
  #length = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  add(chunk: Buffer): void {
    const room = this.#limit - this.#length;
    if (room <= 0) return;
    const kept = chunk.length > room ? chunk.subarray(0, room) : chunk;
    this.#chunks.push(kept);
    this.#length += kept.length;
  }

  whole(): Buffer {
    return Buffer.concat(this.#chunks, this.#length);
  }
}

/**
 * Runs a command in the container and waits for it and its output. Aborting ends the connection, upon
 * which the shim kills the command's whole process tree. Rejects with NativeFailure when the command
 * cannot be started, SHIM_UNAVAILABLE, or the signal's reason.
 */
export async function execAndWait(
  target: { readonly id: string; readonly stateDir: string },
  args: readonly string[],
  outputLimit: number,
  signal: AbortSignal,
): Promise<ExecResult> {
  const socket = await connectShim(target.stateDir, target.id, signal);
  const stdout = new CappedOutput(outputLimit);
  const stderr = new CappedOutput(outputLimit);
  const exit = Promise.withResolvers<number>();
  exit.promise.catch(() => undefined);
  const channel = new Channel(socket, {
    peer: `shim of container ${target.id}`,
    onFrame: (frame: Frame) => {
      if (frame.type === messageType.STDOUT) stdout.add(frame.payload);
      else if (frame.type === messageType.STDERR) stderr.add(frame.payload);
      else if (frame.type === messageType.EXIT) exit.resolve(readExit(parseControl(frame)).exitCode);
    },
    onClose: (error) => exit.reject(error),
  });
  const onAbort = () => exit.reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    await channel.request(messageType.EXEC, { args, terminal: false, stdin: false, columns: 0, rows: 0 }, signal);
    return { exitCode: await exit.promise, stdout: stdout.whole(), stderr: stderr.whole() };
  } finally {
    signal.removeEventListener('abort', onAbort);
    channel.close();
  }
}
