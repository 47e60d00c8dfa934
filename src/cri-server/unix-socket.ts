/**
 * The file of a listening Unix socket: who may bind it, with which mode, and its removal.
 *
 * A socket is bound under a name of its own, gets its mode and is then renamed into place: nobody can
 * connect before the mode is right, and the path never points at a socket that does not listen yet.
 */
import { chmod, lstat, mkdir, rename, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { BerthError, wrapError } from '../errors/catalogue.ts';

/** sizeof(sun_path) - 1, unix(7). */
const maxPathBytes = 107;

const socketMode = 0o660;

/** The path in `unix:///path`. */
export function unixSocketPath(listen: string): string {
  const path = /^unix:\/\/(\/.+)$/.exec(listen)?.[1];
  if (path === undefined) throw new BerthError('CONFIG_INVALID', `listen: ${listen} is not unix:///absolute/path`);
  return path;
}

export interface SocketFile {
  /** Bind here, then call `publish`. */
  readonly bindPath: string;
  publish(): Promise<void>;
  /** Removes the published file, unless another server has put its own in its place. */
  remove(): Promise<void>;
}

/** Makes sure that `path` is free: refuses when a server answers there, removes a dead socket. */
export async function reserveSocketFile(path: string): Promise<SocketFile> {
  const bindPath = join(dirname(path), `.${basename(path)}.${process.pid}`);
  if (Buffer.byteLength(bindPath) > maxPathBytes) {
    throw new BerthError('CONFIG_INVALID', `listen: ${path} is too long for a socket (${maxPathBytes} bytes with a suffix)`);
  }
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o711 });
    await removeDeadSocket(path);
    await rm(bindPath, { force: true });
  } catch (cause) {
    throw wrapError(`listen on ${path}`, cause, 'HOST_UNSUITABLE');
  }
  return socketFile(path, bindPath);
}

function socketFile(path: string, bindPath: string): SocketFile {
  let inode: bigint | undefined;
  return {
    bindPath,
    async publish() {
      await chmod(bindPath, socketMode);
      inode = (await lstat(bindPath, { bigint: true })).ino;
      await rename(bindPath, path);
    },
    async remove() {
      const there = await lstat(path, { bigint: true }).catch(() => undefined);
      if (there !== undefined && there.ino === inode) await rm(path, { force: true });
    },
  };
}

async function removeDeadSocket(path: string): Promise<void> {
  const there = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (there === undefined) return;
  if (!there.isSocket()) throw new BerthError('HOST_UNSUITABLE', 'there is a file that is not a socket');
  if (await answers(path)) throw new BerthError('HOST_UNSUITABLE', 'another server answers there; stop it first');
  await rm(path, { force: true });
}

/** Whether a server accepts connections. Only a plain refusal counts as "no". */
async function answers(path: string): Promise<boolean> {
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  const socket = connect(path);
  socket.once('connect', () => resolve(true));
  socket.once('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') resolve(false);
    else if (error.code === 'EAGAIN') resolve(true); // its backlog is full: it lives
    else reject(error);
  });
  try {
    return await promise;
  } finally {
    socket.destroy();
  }
}
