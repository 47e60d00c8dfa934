import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { toBerthError } from '../../shim/native-error.ts';
import { NativeFailure } from '../../shim/channel.ts';
import type { ProcessSession } from '../../shim/session.ts';
import { untilAborted } from '../../state/keyed-lock.ts';
import type { ProcessRequest } from '../requests.ts';
import type { CommandChannels } from './channels.ts';
import { onResize } from './resize.ts';
import type { CommandStatus } from './status.ts';

/**
 * Connects a client to a process until the process has ended and all its output is delivered, or until
 * the signal says that the client has gone: then an exec's processes are killed, an attach lets go.
 * Resolves in every case.
 */
export async function runCommand(kind: 'exec' | 'attach', request: ProcessRequest, channels: CommandChannels, signal: AbortSignal): Promise<void> {
  let process: ProcessSession;
  try {
    process = await request.open(signal);
  } catch (cause) {
    channels.finish({ outcome: 'error', message: describe(kind, request, cause) });
    return;
  }
  const close = (): void => process.close();
  signal.addEventListener('abort', close, { once: true });
  try {
    const status = await untilAborted(connect(kind, request, process, channels), signal);
    channels.finish(status);
  } catch (cause) {
    if (!signal.aborted) channels.finish({ outcome: 'error', message: describe(kind, request, cause) });
  } finally {
    signal.removeEventListener('abort', close);
    process.close();
  }
}

async function connect(kind: 'exec' | 'attach', request: ProcessRequest, process: ProcessSession, channels: CommandChannels): Promise<CommandStatus> {
  if (channels.resize !== undefined && request.terminal) onResize(channels.resize, (columns, rows) => process.resize(columns, rows));
  const inputEnded = feed(channels.stdin, process.stdin);
  const delivered = Promise.all([deliver(process.stdout, channels.stdout), deliver(process.stderr, channels.stderr)]);
  // Without output there is nothing to stay for once the input has ended.
  const done = kind === 'attach' && channels.stdout === undefined && channels.stderr === undefined ? inputEnded : undefined;
  const exit = await (done === undefined ? process.exited : Promise.race([process.exited, done]));
  await delivered;
  return kind === 'attach' || exit === undefined || exit.exitCode === 0 ? { outcome: 'success' } : { outcome: 'exit', exitCode: exit.exitCode };
}

/** Hands the client's input on, and its end. Resolves at that end. */
function feed(source: Readable | undefined, target: Writable): Promise<undefined> {
  return new Promise((resolve) => {
    if (source === undefined) {
      target.end();
      return;
    }
    const end = (): void => {
      target.end();
      resolve(undefined);
    };
    source.pipe(target, { end: false });
    // 'close' alone is a client that has reset this one stream.
    source.once('end', end).once('close', end);
  });
}

/** All of an output. A client that no longer wants it does not hold up the process. */
async function deliver(source: Readable, target: Writable | undefined): Promise<void> {
  if (target === undefined) {
    source.resume();
    return;
  }
  try {
    await pipeline(source, target);
  } catch {
    source.destroy();
  }
}

function describe(kind: 'exec' | 'attach', request: ProcessRequest, cause: unknown): string {
  const attempted = `${kind === 'exec' ? 'exec in' : 'attach to'} ${request.target}`;
  if (cause instanceof NativeFailure) return toBerthError(attempted, cause.detail).message;
  return `${attempted}: ${cause instanceof Error ? cause.message : String(cause)}`;
}
