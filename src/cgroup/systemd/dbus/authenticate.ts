import type { Socket } from 'node:net';
import { DbusError } from './dbus-error.ts';

/** No line of the conversation is longer than this. */
const longestLine = 4096;

/**
 * D-Bus Specification, "Authentication Protocol", mechanism EXTERNAL: the kernel tells the other side who this
 * process is, the process only says so as well. Resolves with what came after the last line.
 */
export function authenticate(socket: Socket, signal: AbortSignal): Promise<Buffer> {
  const uid = Buffer.from(String(process.getuid?.() ?? 0)).toString('hex');
  return new Promise((resolve, reject) => {
    let heard: Buffer = Buffer.alloc(0);
    const settle = (work: () => void): void => {
      socket.off('data', onData).off('error', onError).off('close', onClose);
      signal.removeEventListener('abort', onAbort);
      work();
    };
    const fail = (cause: Error): void => settle(() => reject(cause));
    const onError = (cause: Error): void => fail(cause);
    const onClose = (): void => fail(new DbusError('the bus closes the connection instead of authenticating'));
    const onAbort = (): void => fail(signal.reason as Error);
    const onData = (chunk: Buffer): void => {
      heard = Buffer.concat([heard, chunk]);
      const end = heard.indexOf('\r\n');
      if (end < 0 && heard.length <= longestLine) return;
      const line = heard.toString('latin1', 0, end < 0 ? 80 : end);
      if (end < 0 || !line.startsWith('OK ')) return fail(new DbusError(`the bus does not take this user: ${line}`));
      settle(() => {
        socket.write('BEGIN\r\n');
        resolve(heard.subarray(end + 2));
      });
    };
    if (signal.aborted) return reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
    socket.on('data', onData).on('error', onError).on('close', onClose);
    // The NUL byte carries the credentials on systems that cannot ask the socket for them.
    socket.write(`\0AUTH EXTERNAL ${uid}\r\n`);
  });
}
