import { open } from 'node:fs/promises';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { BerthError } from '../errors/catalogue.ts';

/** sun_path holds 108 bytes with its NUL (unix(7)). */
const maxSocketPath = 107;

/** Connects to `stateDir/shim.sock`, however long the directory's path is. Rejects with SHIM_UNAVAILABLE. */
export async function connectShim(stateDir: string, id: string, signal?: AbortSignal): Promise<Socket> {
  const path = join(stateDir, 'shim.sock');
  try {
    if (Buffer.byteLength(path) <= maxSocketPath) return await connected(path, signal);
    await using directory = await open(stateDir, 'r');
    return await connected(`/proc/self/fd/${directory.fd}/shim.sock`, signal);
  } catch (cause) {
    if (signal?.aborted === true) throw signal.reason;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new BerthError('SHIM_UNAVAILABLE', `shim of container ${id}: ${reason}`, { cause });
  }
}

function connected(path: string, signal: AbortSignal | undefined): Promise<Socket> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const socket = connect({ path });
    const onAbort = () => socket.destroy(new Error('cancelled'));
    signal?.addEventListener('abort', onAbort, { once: true });
    const settled = () => signal?.removeEventListener('abort', onAbort);
    // It stays: an error between here and the socket's next owner must not end the process.
    socket.on('error', (error) => {
      settled();
      reject(error);
    });
    socket.once('connect', () => {
      settled();
      resolve(socket);
    });
  });
}
